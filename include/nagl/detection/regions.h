#pragma once

#include <cstdint>
#include <opencv2/core/mat.hpp>
#include <vector>

namespace nagl {

/// A connected part of a map that is hotter than its surroundings.
struct Region {
  cv::Rect box;
  std::int64_t area = 0;  ///< in pixels
  cv::Point peak;         ///< where it is hottest
  double peak_score = 0;
  double mean_score = 0;
};

/// What makes a region of a map, by hysteresis (Canny, 1986): a scratch that is fainter here and
/// there stays one.
struct RegionRules {
  double seed = 0;              ///< a region is hotter than this somewhere
  double growth = 0;            ///< and reaches as far as the map is hotter than this
  std::int64_t least_area = 0;  ///< smaller regions are none; in pixels
};

/// How far down regions grow from the map's threshold (1) towards what good patches usually have
/// (0).
inline constexpr double kRegionGrowth = 0.8;

/// Rules for a raw map threshold.
/// @param usual raw score of a usual good patch; above the threshold, regions do not grow
RegionRules region_rules(double map_threshold, double usual, std::int64_t least_area = 0);

/// The 8-connected regions of a map, the hottest first.
/// @param map float32 [H, W]
/// @param mask null, or gets uint8 [H, W], 255 in the regions and 0 elsewhere
std::vector<Region> find_regions(const cv::Mat& map, const RegionRules& rules,
                                 cv::Mat* mask = nullptr);

}  // namespace nagl
