#include "nagl/image/paste.h"

#include <algorithm>
#include <cmath>
#include <opencv2/imgproc.hpp>

namespace nagl {
namespace {

/// How wide the seam is, as a share of the shorter side.
constexpr double kSeam = 0.01;

cv::Mat disc(int radius) {
  return cv::getStructuringElement(cv::MORPH_ELLIPSE, {2 * radius + 1, 2 * radius + 1});
}

}  // namespace

cv::Mat pasted(const cv::Mat& rgb, const cv::Mat& source, const cv::Mat& mask, double degrees) {
  cv::Mat from, region;
  cv::resize(source, from, rgb.size(), 0, 0, cv::INTER_AREA);
  cv::resize(mask, region, rgb.size(), 0, 0, cv::INTER_NEAREST);
  region = region > 0;
  const cv::Rect box = cv::boundingRect(region);
  if (box.empty()) return rgb.clone();
  if (degrees != 0) {
    const cv::Point2f middle(static_cast<float>(box.x) + static_cast<float>(box.width) / 2,
                             static_cast<float>(box.y) + static_cast<float>(box.height) / 2);
    const cv::Mat turn = cv::getRotationMatrix2D(middle, degrees, 1);
    cv::Mat turned, turned_region;
    cv::warpAffine(from, turned, turn, rgb.size(), cv::INTER_LINEAR, cv::BORDER_REFLECT_101);
    cv::warpAffine(region, turned_region, turn, rgb.size(), cv::INTER_NEAREST);
    from = turned;
    region = turned_region;
  }
  const int seam = std::max(1, static_cast<int>(std::lround(kSeam * std::min(rgb.cols, rgb.rows))));
  cv::Mat around;
  cv::dilate(region, around, disc(2 * seam));
  around.setTo(0, region);
  const cv::Scalar light = cv::mean(rgb, around) - cv::mean(from, around);
  cv::Mat lit, onto, share;
  from.convertTo(lit, CV_32FC3);
  lit += cv::Scalar(light[0], light[1], light[2]);
  rgb.convertTo(onto, CV_32FC3);
  // The seam lies outside: all of the region is there as it is.
  cv::dilate(region, share, disc(seam));
  share.convertTo(share, CV_32F, 1.0 / 255);
  cv::GaussianBlur(share, share, {}, seam / 2.0, seam / 2.0, cv::BORDER_REFLECT_101);
  share.setTo(1, region);
  cv::Mat shares, result;
  cv::merge(std::vector<cv::Mat>(3, share), shares);
  cv::Mat(onto + (lit - onto).mul(shares)).convertTo(result, CV_8UC3);
  return result;
}

}  // namespace nagl
