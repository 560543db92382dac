#include "nagl/image/thumbnail.h"

#include <cmath>
#include <opencv2/core.hpp>
#include <opencv2/imgproc.hpp>
#include <stdexcept>

namespace nagl {
namespace {

constexpr double kLeastCorrelation = 0.98;
constexpr double kMostDifference = 3;  ///< of brightness, mean over the picture
constexpr double kFlat = 1;            ///< length of the detail of a picture that has none

/// What differs from the four neighbours, mean 0.
cv::Mat detail_of(const cv::Mat& grey) {
  cv::Mat values, neighbours;
  grey.convertTo(values, CV_32F);
  const cv::Mat cross = (cv::Mat_<float>(3, 3) << 0, 0.25, 0, 0.25, 0, 0.25, 0, 0.25, 0);
  cv::filter2D(values, neighbours, CV_32F, cross);
  cv::Mat detail = values - neighbours;
  detail -= cv::mean(detail)[0];
  return detail;
}

}  // namespace

Thumbnail::Thumbnail(const cv::Mat& rgb) {
  cv::Mat grey;
  cv::cvtColor(rgb, grey, cv::COLOR_RGB2GRAY);
  cv::resize(grey, grey, {kSide, kSide}, 0, 0, cv::INTER_AREA);
  *this = of_grey(grey);
}

Thumbnail Thumbnail::of_grey(const cv::Mat& grey) {
  if (grey.size() != cv::Size(kSide, kSide) || grey.type() != CV_8U) {
    throw std::invalid_argument("thumbnail: not uint8 [128, 128]");
  }
  Thumbnail made;
  made.grey_ = grey.clone();
  made.mean_ = cv::mean(grey)[0];
  return made;
}

bool Thumbnail::is_near_copy(const Thumbnail& other) const {
  if (grey_.empty() || other.grey_.empty()) return false;
  // The cheap questions first: most pairs end here.
  if (std::abs(mean_ - other.mean_) > kMostDifference) return false;
  const double difference = cv::norm(grey_, other.grey_, cv::NORM_L1);
  if (difference > kMostDifference * static_cast<double>(grey_.total())) return false;
  const cv::Mat own = detail_of(grey_), others = detail_of(other.grey_);
  const double length = cv::norm(own), other_length = cv::norm(others);
  if (length <= kFlat || other_length <= kFlat) return length <= kFlat && other_length <= kFlat;
  return own.dot(others) >= kLeastCorrelation * length * other_length;
}

}  // namespace nagl
