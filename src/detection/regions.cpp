#include "nagl/detection/regions.h"

#include <algorithm>
#include <limits>
#include <opencv2/imgproc.hpp>

namespace nagl {

std::vector<Region> regions_above(const cv::Mat& map, double threshold) {
  cv::Mat above = map > threshold;
  const cv::Rect occupied = cv::boundingRect(above);  // labels take four bytes a pixel: only there
  std::vector<Region> regions;
  if (occupied.empty()) return regions;
  cv::Mat labels, boxes, centres;
  const int count = cv::connectedComponentsWithStats(above(occupied), labels, boxes, centres, 8);
  std::vector<double> sums(static_cast<std::size_t>(count));
  regions.resize(sums.size());
  for (auto& region : regions) region.peak_score = -std::numeric_limits<double>::infinity();
  for (int y = 0; y < labels.rows; ++y) {
    for (int x = 0; x < labels.cols; ++x) {
      const auto label = static_cast<std::size_t>(labels.at<int>(y, x));
      const cv::Point at = cv::Point(x, y) + occupied.tl();
      const double score = map.at<float>(at);
      sums[label] += score;
      if (score > regions[label].peak_score) {
        regions[label].peak_score = score;
        regions[label].peak = at;
      }
    }
  }
  for (int i = 1; i < count; ++i) {
    Region& region = regions[static_cast<std::size_t>(i)];
    const int* box = boxes.ptr<int>(i);
    region.box = cv::Rect(box[cv::CC_STAT_LEFT], box[cv::CC_STAT_TOP], box[cv::CC_STAT_WIDTH],
                          box[cv::CC_STAT_HEIGHT]) +
                 occupied.tl();
    region.area = box[cv::CC_STAT_AREA];
    region.mean_score = sums[static_cast<std::size_t>(i)] / static_cast<double>(region.area);
  }
  regions.erase(regions.begin());  // the background
  std::stable_sort(regions.begin(), regions.end(),
                   [](const Region& a, const Region& b) { return a.peak_score > b.peak_score; });
  return regions;
}

}  // namespace nagl
