#pragma once

#include <filesystem>
#include <opencv2/core/mat.hpp>
#include <string>

namespace nagl {

/// Whether a mask is given as a file of boxes and polygons: by its extension, `.json`.
bool is_annotation(const std::filesystem::path& path);

/// What a LabelMe file (shapes of one picture) or a COCO file (annotations of many) marks of a
/// picture: polygons, rectangles and circles filled, lines and points drawn; in COCO, the
/// segmentation's polygons, or the box where there is none. All categories and labels count.
/// @param picture its file name says which of a COCO file's pictures it is
/// @return uint8 of the size that the file gives the picture, 255 where marked
/// @throws DataError naming the file if it is neither, damaged, marks nothing there, or holds
/// shapes
///         of another kind (run-length masks)
cv::Mat read_annotation(const std::filesystem::path& path, const std::filesystem::path& picture);

}  // namespace nagl
