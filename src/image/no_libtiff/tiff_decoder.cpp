#include "../tiff_decoder.h"

namespace nagl {

std::optional<TiffPicture> decode_tiff(std::string_view) { return std::nullopt; }

}  // namespace nagl
