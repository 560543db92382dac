#include "nagl/image/paste.h"

#include <gtest/gtest.h>

#include <opencv2/core.hpp>

namespace nagl {
namespace {

cv::Mat plain(int grey, cv::Size size = {200, 100}) {
  return cv::Mat(size, CV_8UC3, cv::Scalar::all(grey));
}

cv::Mat marked(const cv::Rect& area, cv::Size size = {200, 100}) {
  cv::Mat mask = cv::Mat::zeros(size, CV_8U);
  mask(area) = 255;
  return mask;
}

int grey(const cv::Mat& rgb, int x, int y) { return rgb.at<cv::Vec3b>(y, x)[1]; }

TEST(Paste, ARegionComesInTheLightOfItsNewPlace) {
  const cv::Rect area(60, 40, 40, 20);
  cv::Mat source = plain(50);
  source(area) = cv::Scalar::all(90);
  const cv::Mat result = pasted(plain(120), source, marked(area));
  // 40 above what lies around it, as it was; from the seam (1 pixel, blurred) on all is as before.
  EXPECT_EQ(grey(result, 60, 40), 160);
  EXPECT_EQ(grey(result, 99, 59), 160);
  EXPECT_EQ(grey(result, 80, 36), 120);
  EXPECT_EQ(grey(result, 105, 50), 120);
  EXPECT_EQ(grey(result, 0, 0), 120);
}

TEST(Paste, IsTurnedAboutItsMiddle) {
  const cv::Rect area(60, 40, 40, 20);
  cv::Mat source = plain(50);
  source(area) = cv::Scalar::all(90);
  const cv::Mat result = pasted(plain(50), source, marked(area), 90);
  EXPECT_EQ(grey(result, 80, 33), 90);  // it stands upright now
  EXPECT_EQ(grey(result, 80, 67), 90);
  EXPECT_EQ(grey(result, 65, 50), 50);
  EXPECT_EQ(grey(result, 95, 50), 50);
}

TEST(Paste, PicturesOfOtherSizesAreScaled) {
  const cv::Rect area(60, 40, 40, 20);
  cv::Mat source = plain(50);
  source(area) = cv::Scalar::all(90);
  const cv::Mat result = pasted(plain(50, {400, 200}), source, marked(area));
  EXPECT_EQ(result.size(), cv::Size(400, 200));
  EXPECT_EQ(grey(result, 160, 100), 90);
  EXPECT_EQ(grey(result, 215, 100), 50);
}

TEST(Paste, WithoutAMarkNothingChanges) {
  const cv::Mat rgb = plain(77);
  EXPECT_EQ(cv::norm(pasted(rgb, plain(5), cv::Mat::zeros(100, 200, CV_8U), 30), rgb), 0);
}

}  // namespace
}  // namespace nagl
