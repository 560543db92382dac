#pragma once

#include <cstdint>
#include <opencv2/core/mat.hpp>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>

namespace nagl {

/// What of a TIFF cannot be read, as the rest of a sentence that begins with the file's name.
struct TiffFault : std::runtime_error {
  using std::runtime_error::runtime_error;
};

/// A decoded TIFF.
struct TiffPicture {
  cv::Mat samples;  ///< 8 or 16 bit; grey, grey and alpha, BGR, or BGRA with colours as they are
  int orientation = 1;  ///< as EXIF counts; samples are as stored
  std::string dropped;  ///< what of it is not in `samples`, for a warning; empty: nothing
};

/// Decodes grey and RGB TIFFs of 8 or 16 bit, of any arrangement of strips, tiles and planes.
/// OpenCV gets some of these wrong: white as 0, planes, transparent colours.
/// @return nothing for other kinds (palettes, bitmaps, JPEG, ...), and where nagl was built without
///         libtiff: OpenCV reads those
/// @param max_pixels larger ones are refused
/// @param page from 0, reduced copies and masks not counted
/// @throws TiffFault on samples that are no whole numbers without sign, or damage
std::optional<TiffPicture> decode_tiff(std::string_view bytes, std::int64_t max_pixels,
                                       int page = 0);

/// A TIFF of one channel of 16-bit floating-point samples, not compressed.
/// @param map float32 [H, W]
/// @return nothing where nagl was built without libtiff
std::optional<std::string> encode_float16_tiff(const cv::Mat& map);

}  // namespace nagl
