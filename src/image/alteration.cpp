#include "nagl/image/alteration.h"

#include <opencv2/core.hpp>
#include <opencv2/imgproc.hpp>
#include <optional>

namespace nagl {
namespace {

/// What `cv::rotate` calls it, if it is nothing but a number of quarter turns.
std::optional<int> quarter_turn(const Alteration& alteration) {
  if (alteration.shift_x != 0 || alteration.shift_y != 0) return std::nullopt;
  if (alteration.degrees == 90) return cv::ROTATE_90_COUNTERCLOCKWISE;
  if (alteration.degrees == 180) return cv::ROTATE_180;
  if (alteration.degrees == 270) return cv::ROTATE_90_CLOCKWISE;
  return std::nullopt;
}

}  // namespace

cv::Mat altered(const cv::Mat& rgb, const Alteration& alteration) {
  cv::Mat result = rgb;
  if (const auto turn = quarter_turn(alteration)) {
    cv::Mat turned;  // `result` would be turned in place, and the caller's picture with it
    cv::rotate(rgb, turned, *turn);
    result = turned;
  } else if (alteration.degrees != 0 || alteration.shift_x != 0 || alteration.shift_y != 0) {
    // Pixel centres lie at whole numbers, so a quarter turn of a square moves pixels onto pixels.
    const cv::Point2f centre(static_cast<float>(rgb.cols - 1) / 2,
                             static_cast<float>(rgb.rows - 1) / 2);
    cv::Mat motion = cv::getRotationMatrix2D(centre, alteration.degrees, 1);
    motion.at<double>(0, 2) += alteration.shift_x * rgb.cols;
    motion.at<double>(1, 2) += alteration.shift_y * rgb.rows;
    cv::Mat moved;
    cv::warpAffine(rgb, moved, motion, rgb.size(), cv::INTER_LINEAR, cv::BORDER_REFLECT);
    result = moved;
  }
  if (alteration.gain != 1) {
    cv::Mat brighter;
    result.convertTo(brighter, -1, alteration.gain);
    result = brighter;
  }
  return result;
}

}  // namespace nagl
