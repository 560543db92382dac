#pragma once

#include <opencv2/core/mat.hpp>

#include "nagl/detection/detector.h"

namespace nagl {

/// A mask that nobody drew.
struct DerivedMask {
  cv::Mat mask;  ///< uint8 [H, W] of the picture's size, 255 inside; never empty
  cv::Mat map;   ///< float32 [H, W], the anomaly map that it comes from
};

/// Where the defect of a picture probably lies, for want of a mask: the regions of its map above
/// half way from the map's median to its peak.
/// @param detector of good pictures alone (Method::kNormalNn)
DerivedMask derive_mask(const Detector& detector, const Image& image);

}  // namespace nagl
