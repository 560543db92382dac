#pragma once

#include <filesystem>
#include <opencv2/core/mat.hpp>

#include "nagl/image/image.h"

namespace nagl {

/// Whether a mask is given as a file of boxes and polygons: by its extension, `.json`.
bool is_annotation(const std::filesystem::path& path);

/// What a LabelMe file (shapes of one picture) or a COCO file (annotations of many) marks of a
/// picture: polygons, rectangles, rotated ones and circles filled, lines and points drawn, masks as
/// they are; in COCO, the segmentation's polygons or run lengths, or the box where there is none.
/// Shapes add up: one within another, of the same group or not, cuts nothing out. All labels and
/// categories count but `__ignore__` and `_background_`, and in COCO what is marked `ignore` or, as
/// a crowd, `iscrowd`.
///
/// Coordinates are edges, in both formats: pixel (0, 0) reaches from 0 to 1. A pixel is marked if
/// its centre lies within the shape, and so are those that a shape without any such pixel touches.
/// @param image its file name says which of a COCO file's pictures it is; its size counts where a
///        LabelMe file gives none
/// @return uint8 of the size that the file gives the picture, 255 where marked
/// @throws DataError naming the file and the shape if it is neither, damaged, or marks nothing
/// there
cv::Mat read_annotation(const std::filesystem::path& path, const Image& image);

}  // namespace nagl
