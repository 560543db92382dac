#include "canvas.h"

#include <algorithm>
#include <cmath>
#include <opencv2/imgproc.hpp>

namespace nagl {
namespace {

constexpr double kFarthest = 1 << 16;  // beyond any picture
constexpr int kSubpixelBits = 4;       // OpenCV draws lines at sixteenths of a pixel
const cv::Scalar kMarked(255);

/// The first pixel whose centre is at or after `x`.
int first_centre_from(double x) {
  return static_cast<int>(std::ceil(std::clamp(x, -kFarthest, kFarthest) - 0.5));
}

}  // namespace

bool Canvas::fill(int row, double begin, double end) {
  const int first = first_centre_from(begin), last = first_centre_from(end);
  if (first >= last) return false;
  const int from = std::max(first, 0), to = std::min(last, mask_.cols);
  if (row >= 0 && row < mask_.rows && from < to) {
    mask_.row(row).colRange(from, to).setTo(kMarked);
  }
  return true;
}

void Canvas::polygon(const std::vector<cv::Point2d>& corners) {
  const auto [low, high] = std::minmax_element(
      corners.begin(), corners.end(), [](const auto& a, const auto& b) { return a.y < b.y; });
  bool filled = false;
  std::vector<double> crossings;
  // Rows outside the picture count too, so that a shape that ends there is not taken for a tiny
  // one.
  const int first = std::max(first_centre_from(low->y), -1);
  const int end = std::min(first_centre_from(high->y), mask_.rows + 1);
  for (int row = first; row < end; ++row) {
    const double y = row + 0.5;
    crossings.clear();
    for (std::size_t i = 0; i < corners.size(); ++i) {
      const cv::Point2d &a = corners[i], &b = corners[(i + 1) % corners.size()];
      if ((a.y <= y) == (b.y <= y)) continue;
      crossings.push_back(a.x + (y - a.y) * (b.x - a.x) / (b.y - a.y));
    }
    std::sort(crossings.begin(), crossings.end());
    for (std::size_t i = 0; i + 1 < crossings.size(); i += 2) {
      filled = fill(row, crossings[i], crossings[i + 1]) || filled;
    }
  }
  if (filled) return;
  std::vector<cv::Point2d> outline = corners;
  outline.push_back(corners.front());
  line(outline);
}

void Canvas::circle(cv::Point2d centre, cv::Point2d rim) {
  const double radius = std::min(std::hypot(rim.x - centre.x, rim.y - centre.y), kFarthest);
  bool filled = false;
  const int first = std::max(first_centre_from(centre.y - radius), -1);
  const int end = std::min(first_centre_from(centre.y + radius), mask_.rows + 1);
  for (int row = first; row < end; ++row) {
    const double height = row + 0.5 - centre.y;
    const double half = std::sqrt(std::max(0.0, radius * radius - height * height));
    filled = fill(row, centre.x - half, centre.x + half) || filled;
  }
  if (!filled) point(centre);
}

void Canvas::line(const std::vector<cv::Point2d>& points) {
  std::vector<cv::Point> fixed;
  for (const auto& point : points) {
    const auto place = [](double value) {  // OpenCV's whole numbers are centres of pixels
      return static_cast<int>(
          std::floor((std::clamp(value, -kFarthest, kFarthest) - 0.5) * (1 << kSubpixelBits)));
    };
    fixed.emplace_back(place(point.x), place(point.y));
  }
  cv::polylines(mask_, std::vector{fixed}, false, kMarked, 1, cv::LINE_8, kSubpixelBits);
}

void Canvas::stamp(const cv::Mat& mask, cv::Point corner) {
  const cv::Rect place = cv::Rect(corner, mask.size()) & cv::Rect({0, 0}, mask_.size());
  if (place.empty()) return;
  mask_(place).setTo(kMarked, mask(place - corner));
}

}  // namespace nagl
