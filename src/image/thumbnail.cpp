#include "nagl/image/thumbnail.h"

#include <opencv2/core.hpp>
#include <opencv2/imgproc.hpp>
#include <stdexcept>

namespace nagl {
namespace {

constexpr double kLeastCorrelation = 0.98;
constexpr double kMostDifference = 3;  ///< of brightness, mean over the picture
constexpr double kFlat = 1;            ///< length of the detail of a picture that has none

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
  cv::Mat values, neighbours;
  grey.convertTo(values, CV_32F);
  const cv::Mat cross = (cv::Mat_<float>(3, 3) << 0, 0.25, 0, 0.25, 0, 0.25, 0, 0.25, 0);
  cv::filter2D(values, neighbours, CV_32F, cross);
  made.detail_ = values - neighbours;
  made.detail_ -= cv::mean(made.detail_)[0];
  made.length_ = cv::norm(made.detail_);
  if (made.length_ > kFlat) made.detail_ /= made.length_;
  return made;
}

bool Thumbnail::is_near_copy(const Thumbnail& other) const {
  if (grey_.empty() || other.grey_.empty()) return false;
  const double difference =
      cv::norm(grey_, other.grey_, cv::NORM_L1) / static_cast<double>(grey_.total());
  if (difference > kMostDifference) return false;
  if (length_ <= kFlat || other.length_ <= kFlat) return length_ <= kFlat && other.length_ <= kFlat;
  return detail_.dot(other.detail_) >= kLeastCorrelation;
}

}  // namespace nagl
