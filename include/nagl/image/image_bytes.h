#pragma once

#include <opencv2/core/mat.hpp>
#include <string>

#include "nagl/image/image.h"

namespace nagl {

/// Decodes what a picture's file would hold, as `read_image` does; no file is opened, so that bytes
/// of anybody can be given. Volumes are none.
/// @param name for messages, and the picture's `path`
/// @throws DataError naming it, as `read_image`
Image decode_image(const std::string& bytes, const std::string& name,
                   const DecodeOptions& options = {});

/// What `write_png` would write.
/// @throws Error if it cannot be encoded
std::string encode_png(const cv::Mat& picture);

}  // namespace nagl
