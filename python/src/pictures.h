#pragma once

#include <nanobind/nanobind.h>

#include <filesystem>
#include <opencv2/core/mat.hpp>
#include <string>
#include <vector>

#include "nagl/image/image.h"

namespace nagl::python {

namespace nb = nanobind;

/// What a signature says of a picture and of a mask.
inline constexpr const char* kPicture = "Picture";
inline constexpr const char* kMask = "Mask";

/// A picture as Python gave it: a file that is still to be read, or pixels.
struct Picture {
  std::filesystem::path file;  ///< empty: it is in memory
  Image image;                 ///< of one in memory; its path is the name given
  nb::object owner;            ///< of its pixels

  Image read(const DecodeOptions& decode) const {
    return file.empty() ? image : read_image(file, decode);
  }
};

/// A path, a numpy array uint8 or uint16 [H, W, 3] RGB or [H, W] grey, a PIL image (turned upright
/// and without alpha, as files are), or a torch tensor like the arrays. Pixels are not copied where
/// they lie as they are needed.
/// @param name for messages
/// @param bit_depth of samples of 16 bit, as in DecodeOptions
/// @throws TypeError on anything else; DataError on another shape or type of samples, saying what
///         to give
Picture picture_from(nb::handle given, const std::string& name,
                     int bit_depth = DecodeOptions().bit_depth);

/// A mask as Python gave it: a file that is still to be read, or marks, which are copied.
struct GivenMask {
  std::filesystem::path file;
  cv::Mat marks;  ///< uint8 [H, W], above 0 where marked

  /// As `read_mask`.
  cv::Mat read() const;
};

/// A path, a numpy array or torch tensor bool or uint8 [H, W], above 0 where marked, or a PIL image
/// of mode `1` or `L`. @throws as `picture_from`
GivenMask mask_from(nb::handle given, const std::string& name);

/// Whether these are several pictures (or masks): a list or a tuple.
bool is_list(nb::handle given);

}  // namespace nagl::python
