#pragma once

#include <cstdint>
#include <filesystem>
#include <new>
#include <opencv2/core.hpp>
#include <string>
#include <vector>

#include "nagl/image/image.h"
#include "picture_header.h"

namespace nagl {

inline constexpr const char* kWrongDepth =
    "holds samples that are neither 8 nor 16 bit; save it as PNG or TIFF of 8 or 16 bit";

/// What is wanted of a file.
struct Decoding {
  bool as_stored = false;  ///< not turned upright as EXIF says
  bool with_alpha =
      false;  ///< samples of any type and number of channels; else three of 8 or 16 bit
  std::int64_t max_pixels = DecodeOptions().max_pixels;
};

/// A decoded file.
struct Decoded {
  cv::Mat samples;  ///< BGR; with alpha also grey, grey and alpha, BGRA, and any depth
  PictureHeader header;
  std::vector<Remark> remarks;
};

[[noreturn]] void fail_picture(const std::filesystem::path& path, const std::string& why);

/// Calls `make`, which may throw what OpenCV and memory throw; these become a DataError.
template <typename Make>
auto guarded(const std::filesystem::path& path, Make&& make) {
  try {
    return make();
  } catch (const cv::Exception& error) {
    fail_picture(path, "cannot be decoded: " + error.err);
  } catch (const std::bad_alloc&) {
    fail_picture(path, "needs more memory than there is; scale it down");
  }
}

/// Reads and decodes a picture's file; within `guarded`. @throws DataError naming it, and what to
/// do
Decoded decode_file(const std::filesystem::path& path, const Decoding& wanted);

/// Decodes what a picture's file would hold; no file is opened.
/// @param name for messages @throws DataError as above
Decoded decode_bytes(const std::filesystem::path& name, const std::string& bytes,
                     const Decoding& wanted);

/// The picture of what was decoded: RGB of 8 bit; within `guarded`.
Image image_of(const std::filesystem::path& path, Decoded decoded, const DecodeOptions& options);

/// `1280x720`
std::string size_text(const cv::Size& size);

}  // namespace nagl
