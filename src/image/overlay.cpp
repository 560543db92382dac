#include "nagl/image/overlay.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <opencv2/core.hpp>
#include <opencv2/imgproc.hpp>
#include <vector>

#include "nagl/image/anomaly_map.h"

namespace nagl {
namespace {

constexpr int kLongSide = 448, kShortSide = 24, kGap = 8, kFooter = 58;
constexpr int kElongatedSide = 3 * kLongSide;  // of pictures more than twice as long as wide
constexpr double kStrongestBlend = 0.75;       // of the heat map, reached at half of the scale
const cv::Scalar kBackground(24, 24, 28), kText(230, 230, 230), kWhite(255, 255, 255),
    kTruth(0, 255, 80);

/// The size of a panel: the picture's proportions, the longer side at a fixed length, which is
/// greater for long pictures: their panels would be strips else.
cv::Size panel_size(const cv::Size& picture) {
  const auto [shorter, longer] = std::minmax(picture.width, picture.height);
  const double factor =
      static_cast<double>(longer > 2 * shorter ? kElongatedSide : kLongSide) / longer;
  const auto side = [&](int length) {
    return std::max(kShortSide, static_cast<int>(std::lround(length * factor)));
  };
  return {side(picture.width), side(picture.height)};
}

cv::Mat resized(const cv::Mat& picture, const cv::Size& size, int method) {
  cv::Mat out;
  cv::resize(picture, out, size, 0, 0, method);
  return out;
}

/// uint8 [H, W] of 0..255 to RGB colours from blue to red.
cv::Mat colours(const cv::Mat& levels) {
  cv::Mat bgr, rgb;
  cv::applyColorMap(levels, bgr, cv::COLORMAP_TURBO);
  cv::cvtColor(bgr, rgb, cv::COLOR_BGR2RGB);
  return rgb;
}

cv::Mat levels_of(const cv::Mat& map, const ColourScale& scale) {
  const double range = std::max(scale.high - scale.low, 1e-12);
  cv::Mat levels;
  map.convertTo(levels, CV_8U, 255.0 / range, -255.0 * scale.low / range);
  return levels;
}

void draw_outline(cv::Mat& panel, const cv::Mat& region, const cv::Scalar& colour) {
  std::vector<std::vector<cv::Point>> contours;
  cv::findContours(region, contours, cv::RETR_EXTERNAL, cv::CHAIN_APPROX_NONE);
  cv::drawContours(panel, contours, -1, cv::Scalar(0, 0, 0), 3, cv::LINE_AA);
  cv::drawContours(panel, contours, -1, colour, 1, cv::LINE_AA);
}

/// The grey query under the heat map: the hotter, the less of the query is left.
cv::Mat heat_panel(const cv::Mat& query, const OverlayContent& content) {
  const cv::Size size = query.size();
  cv::Mat grey, base;
  cv::cvtColor(query, grey, cv::COLOR_RGB2GRAY);
  cv::cvtColor(grey, base, cv::COLOR_GRAY2RGB);
  const cv::Mat map = resized(content.map, size, cv::INTER_AREA);
  const cv::Mat levels = levels_of(map, content.scale);
  const cv::Mat heat = colours(levels);
  cv::Mat panel(size, CV_8UC3);
  for (int y = 0; y < size.height; ++y) {
    for (int x = 0; x < size.width; ++x) {
      const double blend = kStrongestBlend * std::min(1.0, 2 * levels.at<uchar>(y, x) / 255.0);
      const auto& under = base.at<cv::Vec3b>(y, x);
      const auto& over = heat.at<cv::Vec3b>(y, x);
      for (int c = 0; c < 3; ++c) {
        panel.at<cv::Vec3b>(y, x)[c] =
            cv::saturate_cast<uchar>((1 - blend) * under[c] + blend * over[c]);
      }
    }
  }
  const cv::Mat roi =
      content.roi.empty() ? cv::Mat() : resized(content.roi, size, cv::INTER_NEAREST);
  if (content.regions) {
    // Area averaging keeps a region of a few pixels from vanishing.
    draw_outline(panel, resized(*content.regions, size, cv::INTER_AREA) > 0, kWhite);
    return panel;
  }
  double peak = 0;
  cv::minMaxLoc(content.map, nullptr, &peak);
  if (peak > content.scale.good) {
    draw_outline(panel, hottest_region(map, roi), kWhite);
  }
  return panel;
}

cv::Mat truth_panel(const cv::Mat& query, const cv::Mat& truth) {
  cv::Mat panel = query.clone();
  // Area averaging keeps a defect of a few pixels from vanishing.
  draw_outline(panel, resized(truth > 0, query.size(), cv::INTER_AREA) > 0, kTruth);
  return panel;
}

void put_text(cv::Mat& canvas, const std::string& text, cv::Point at) {
  cv::putText(canvas, text, at, cv::FONT_HERSHEY_SIMPLEX, 0.45, kText, 1, cv::LINE_AA);
}

int text_width(const std::string& text) {
  int baseline = 0;
  return cv::getTextSize(text, cv::FONT_HERSHEY_SIMPLEX, 0.45, 1, &baseline).width;
}

/// Caption, then the colour bar between its two values.
void draw_footer(cv::Mat& canvas, int top, const OverlayContent& content) {
  put_text(canvas, content.caption, {kGap, top + 18});
  const auto text = [&](double score) {
    return fmt::format("{:.3f}", content.shown ? content.shown(score) : score);
  };
  const std::string low = text(content.scale.low), high = text(content.scale.high);
  const int left = 2 * kGap + text_width(low);
  const int right = std::min(canvas.cols - 2 * kGap - text_width(high), left + kLongSide);
  put_text(canvas, low, {kGap, top + 42});
  if (right - left < 2) return;
  cv::Mat ramp(1, right - left, CV_8U);
  for (int x = 0; x < ramp.cols; ++x) {
    ramp.at<uchar>(0, x) = cv::saturate_cast<uchar>(255.0 * x / (ramp.cols - 1));
  }
  const cv::Rect bar(left, top + 30, right - left, 14);
  resized(colours(ramp), bar.size(), cv::INTER_NEAREST).copyTo(canvas(bar));
  put_text(canvas, high, {right + kGap, top + 42});
}

}  // namespace

ColourScale scale_of(const cv::Mat& map, const cv::Mat& roi) {
  ColourScale scale;
  cv::minMaxLoc(map, &scale.low, &scale.high, nullptr, nullptr, roi);
  scale.good = scale.low;
  return scale;
}

OverlayLayout overlay_layout(const cv::Size& picture) {
  const cv::Size size = panel_size(picture);
  // Side by side; wide pictures one below the other.
  const bool stacked = size.width > 2 * size.height;
  return {{{kGap, kGap}, size},
          stacked ? cv::Point(0, size.height + kGap) : cv::Point(size.width + kGap, 0)};
}

cv::Mat draw_overlay(const OverlayContent& content) {
  const auto [first, stride] = overlay_layout(content.rgb.size());
  const cv::Size size = first.size();
  const bool enlarged = size.width > content.rgb.cols;
  const cv::Mat query = resized(content.rgb, size, enlarged ? cv::INTER_CUBIC : cv::INTER_AREA);
  std::vector<cv::Mat> panels = {query, heat_panel(query, content)};
  if (!content.truth.empty()) panels.push_back(truth_panel(query, content.truth));

  const int count = static_cast<int>(panels.size());
  const int width = std::max(size.width + (count - 1) * stride.x, kLongSide / 2) + 2 * kGap;
  const int height = size.height + (count - 1) * stride.y + 2 * kGap;
  cv::Mat canvas(height + kFooter, width, CV_8UC3, kBackground);
  for (int i = 0; i < count; ++i) {
    panels[static_cast<std::size_t>(i)].copyTo(canvas(first + i * stride));
  }
  draw_footer(canvas, height, content);
  return canvas;
}

}  // namespace nagl
