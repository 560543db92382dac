#pragma once

#include <cstdint>
#include <opencv2/core/mat.hpp>
#include <vector>

namespace nagl {

/// A connected part of a map above a threshold.
struct Region {
  cv::Rect box;
  std::int64_t area = 0;  ///< in pixels
  cv::Point peak;         ///< where it is hottest
  double peak_score = 0;
  double mean_score = 0;
};

/// The 8-connected regions of a map above `threshold`, the hottest first.
/// @param map float32 [H, W]
std::vector<Region> regions_above(const cv::Mat& map, double threshold);

}  // namespace nagl
