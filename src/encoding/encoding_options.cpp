#include "nagl/encoding/encoding_options.h"

namespace nagl {

void EncodingOptions::check() const {
  decode.check();
  tiling.check();
}

}  // namespace nagl
