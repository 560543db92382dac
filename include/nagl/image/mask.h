#pragma once

#include <cstdint>
#include <filesystem>
#include <opencv2/core/mat.hpp>
#include <vector>

#include "nagl/image/image.h"

namespace nagl {

/// Where something is in a picture: a defect, or a region of interest.
struct Mask {
  cv::Mat marks;                ///< uint8 [H, W], 255 where marked
  std::vector<Remark> remarks;  ///< what looks wrong with it
};

/// Reads a mask picture as it is stored (no EXIF turn). What of it is marked:
/// - Where transparency varies, what can be seen: pixels that are opaque by half or more. If some
/// of
///   these are black and others are not, those that are not.
/// - Of a palette with colours, and of lossless files of at most 16 different values: all but 0
///   (black). So class indices 1, 2, 3 all count.
/// - Of lossy files, and of those with more values: what is above half of the largest value.
///   Compression and blurred edges are no mark.
/// @param max_pixels larger ones are refused
/// @throws DataError as `read_image`
Mask read_mask(const std::filesystem::path& path,
               std::int64_t max_pixels = DecodeOptions().max_pixels);

/// Whether a mask of one size can be drawn on a picture of the other: rounding aside, the sides are
/// in the same proportion.
bool same_proportions(const cv::Size& a, const cv::Size& b);

/// Reads the mask that belongs to `image`: `read_mask`, or `read_annotation` of a JSON file, then
/// turned as the picture was if, and only if, its size says that it was drawn on the picture as
/// stored. Its size may differ from the picture's by a common factor.
/// @throws DataError naming both files if the proportions differ.
Mask read_mask_for(const Image& image, const std::filesystem::path& mask_path);

/// What any of several masks of a defect marks, in the size of the first. Says of each that marks
/// nearly everything that it may be inverted.
Mask read_masks_for(const Image& image, const std::vector<std::filesystem::path>& masks);

}  // namespace nagl
