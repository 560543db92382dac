#pragma once

#include <functional>
#include <opencv2/core/mat.hpp>
#include <optional>
#include <string>

namespace nagl {

/// The raw scores that the two ends of an overlay's colours stand for, and what good pictures
/// score.
struct ColourScale {
  double low = 0;
  double high = 1;
  double good =
      0;  ///< where the hottest patches of good pictures lie; only what is hotter is outlined
};

/// The scale of one map alone: from its lowest to its highest value (inside `roi`, if that is
/// given: uint8 [H, W], above 0 inside).
ColourScale scale_of(const cv::Mat& map, const cv::Mat& roi = {});

/// What an overlay shows.
struct OverlayContent {
  cv::Mat rgb;          ///< uint8 [H, W, 3], the query
  cv::Mat map;          ///< float32 [H, W], its anomaly map of raw scores
  cv::Mat roi;          ///< uint8 [H, W], above 0 where was looked; empty: everywhere
  cv::Mat truth;        ///< uint8 [H, W], above 0 on the true defect; empty where it is not known
  std::string caption;  ///< ASCII, e.g. `score 0.231`
  ColourScale scale;
  std::function<double(double)> shown;  ///< what is written for a score; empty: the score itself
  /// uint8 [H, W], above 0 in the regions to outline, maybe none; null: the hottest one.
  std::optional<cv::Mat> regions;
};

/// Where an overlay shows the picture: panel i covers `first + i * stride`.
struct OverlayLayout {
  cv::Rect first;
  cv::Point stride;
};

/// @param picture its size, height and width at least 1
OverlayLayout overlay_layout(const cv::Size& picture);

/// A picture to judge a detection by at a glance: the query; the query under the heat map with the
/// contours of the regions (where nobody says which, of the hottest one, if that is hotter than
/// good pictures are); where known, the query with the outline of the true defect;
/// below them the colour scale with its values. @return uint8 RGB
cv::Mat draw_overlay(const OverlayContent& content);

}  // namespace nagl
