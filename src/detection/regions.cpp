#include "nagl/detection/regions.h"

#include <algorithm>
#include <limits>
#include <opencv2/imgproc.hpp>

namespace nagl {

RegionRules region_rules(double map_threshold, double usual, std::int64_t least_area) {
  const double growth = usual + kRegionGrowth * (map_threshold - usual);
  return {map_threshold, std::min(map_threshold, growth), least_area};
}

std::vector<Region> find_regions(const cv::Mat& map, const RegionRules& rules, cv::Mat* mask) {
  if (mask != nullptr) *mask = cv::Mat::zeros(map.size(), CV_8U);
  cv::Mat above = map > rules.growth;
  const cv::Rect occupied = cv::boundingRect(above);  // labels take four bytes a pixel: only there
  if (occupied.empty()) return {};
  cv::Mat labels, boxes, centres;
  const int count = cv::connectedComponentsWithStats(above(occupied), labels, boxes, centres, 8);
  std::vector<double> sums(static_cast<std::size_t>(count));
  std::vector<Region> all(sums.size());
  for (auto& region : all) region.peak_score = -std::numeric_limits<double>::infinity();
  for (int y = 0; y < labels.rows; ++y) {
    for (int x = 0; x < labels.cols; ++x) {
      const auto label = static_cast<std::size_t>(labels.at<int>(y, x));
      const cv::Point at = cv::Point(x, y) + occupied.tl();
      const double score = map.at<float>(at);
      sums[label] += score;
      if (score > all[label].peak_score) {
        all[label].peak_score = score;
        all[label].peak = at;
      }
    }
  }
  std::vector<Region> regions;
  std::vector<std::uint8_t> kept(all.size());  // by label; 0 is the background
  for (std::size_t i = 1; i < all.size(); ++i) {
    Region& region = all[i];
    const int* box = boxes.ptr<int>(static_cast<int>(i));
    region.area = box[cv::CC_STAT_AREA];
    if (!(region.peak_score > rules.seed) || region.area < rules.least_area) continue;
    kept[i] = 255;
    region.box = cv::Rect(box[cv::CC_STAT_LEFT], box[cv::CC_STAT_TOP], box[cv::CC_STAT_WIDTH],
                          box[cv::CC_STAT_HEIGHT]) +
                 occupied.tl();
    region.mean_score = sums[i] / static_cast<double>(region.area);
    regions.push_back(region);
  }
  if (mask != nullptr && !regions.empty()) {
    for (int y = 0; y < labels.rows; ++y) {
      auto* row = mask->ptr<std::uint8_t>(y + occupied.y) + occupied.x;
      for (int x = 0; x < labels.cols; ++x) {
        row[x] = kept[static_cast<std::size_t>(labels.at<int>(y, x))];
      }
    }
  }
  std::stable_sort(regions.begin(), regions.end(),
                   [](const Region& a, const Region& b) { return a.peak_score > b.peak_score; });
  return regions;
}

}  // namespace nagl
