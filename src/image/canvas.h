#pragma once

#include <opencv2/core.hpp>
#include <vector>

namespace nagl {

/// A mask of one picture, drawn in coordinates whose whole numbers are edges of pixels: pixel (0,
/// 0) reaches from 0 to 1. Areas mark the pixels whose centres lie within them; one too small to
/// hold any marks those that its outline touches.
class Canvas {
 public:
  explicit Canvas(cv::Size size) : mask_(cv::Mat::zeros(size, CV_8U)) {}

  /// @param corners three or more; where the outline crosses itself, what it winds around an even
  ///        number of times is outside
  void polygon(const std::vector<cv::Point2d>& corners);
  void box(cv::Point2d a, cv::Point2d b) { polygon({a, {b.x, a.y}, b, {a.x, b.y}}); }
  /// @param rim any point on it
  void circle(cv::Point2d centre, cv::Point2d rim);
  /// The pixels that it runs through.
  void line(const std::vector<cv::Point2d>& points);
  /// The pixel that holds it.
  void point(cv::Point2d place) { line({place, place}); }
  /// Marks what `mask` (uint8) marks, its first pixel at `corner`.
  void stamp(const cv::Mat& mask, cv::Point corner);

  cv::Size size() const { return mask_.size(); }
  const cv::Mat& mask() const { return mask_; }

 private:
  /// Marks the pixels of a row whose centres lie from `begin` to `end`. @return whether there are
  /// any
  bool fill(int row, double begin, double end);

  cv::Mat mask_;
};

}  // namespace nagl
