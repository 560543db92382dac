#include "nagl/image/overlay.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <opencv2/core.hpp>
#include <opencv2/imgproc.hpp>

namespace nagl {
namespace {

OverlayContent content_of(const cv::Size& size) {
  OverlayContent content;
  content.rgb = cv::Mat(size, CV_8UC3, cv::Scalar(90, 90, 90));
  content.map = cv::Mat(size, CV_32F, cv::Scalar(0.0));
  content.map(cv::Rect(0, 0, (size.width + 1) / 2, size.height)).setTo(1.0);
  content.caption = "score 0.5";
  return content;
}

TEST(Overlay, ShowsHotRedAndColdGrey) {
  const cv::Mat overlay = draw_overlay(content_of({200, 200}));
  // Two panels of 448 beside each other with gaps of 8: the hot half of the second, then the cold.
  const auto hot = overlay.at<cv::Vec3b>(200, 8 + 448 + 8 + 60);
  const auto cold = overlay.at<cv::Vec3b>(200, 8 + 448 + 8 + 400);
  EXPECT_GT(hot[0], hot[2] + 60);
  EXPECT_EQ(cold, cv::Vec3b(90, 90, 90));
  EXPECT_EQ(overlay.at<cv::Vec3b>(200, 200), cv::Vec3b(90, 90, 90));  // the query itself
}

TEST(Overlay, OutlinesTheHottestRegionOrThoseThatAreGiven) {
  OverlayContent content;
  content.rgb = cv::Mat(448, 448, CV_8UC3, cv::Scalar::all(60));
  content.map = cv::Mat::zeros(448, 448, CV_32F);
  content.map(cv::Rect(50, 50, 40, 40)).setTo(0.9F);
  content.map(cv::Rect(300, 300, 40, 40)).setTo(0.4F);
  content.scale = {0, 1, 0.1};
  const auto outlined = [&](int corner) {  // white pixels around one of the squares
    const cv::Mat panel = draw_overlay(content)(cv::Rect(8 + 448 + 8, 8, 448, 448));
    cv::Mat white;
    cv::inRange(panel(cv::Rect(corner - 5, corner - 5, 50, 50)), cv::Scalar::all(150),
                cv::Scalar::all(255), white);
    return cv::countNonZero(white) > 50;
  };
  EXPECT_TRUE(outlined(50));
  EXPECT_FALSE(outlined(300));  // less than half as hot
  content.regions = content.map > 0.3;
  EXPECT_TRUE(outlined(50));
  EXPECT_TRUE(outlined(300));
  content.regions = content.map > 0.5;
  EXPECT_FALSE(outlined(300));
  content.regions = content.map > 0.95;
  EXPECT_FALSE(outlined(50));
}

TEST(Overlay, TruthAddsAPanelAndExtremeShapesAreDrawn) {
  auto content = content_of({200, 200});
  const int without = draw_overlay(content).cols;
  content.truth = cv::Mat::zeros(200, 200, CV_8U);
  content.truth(cv::Rect(50, 50, 2, 2)).setTo(255);
  EXPECT_EQ(draw_overlay(content).cols, without + 456);
  for (const cv::Size size : {cv::Size(1, 1), cv::Size(20000, 100), cv::Size(3, 5000)}) {
    const cv::Mat overlay = draw_overlay(content_of(size));
    EXPECT_GT(overlay.total(), 0U);
    EXPECT_LT(std::max(overlay.cols, overlay.rows), 1600) << size;
  }
}

TEST(Overlay, ScaleOfAMap) {
  const cv::Mat map = (cv::Mat_<float>(1, 3) << 0.25F, 0.5F, 0.125F);
  EXPECT_DOUBLE_EQ(scale_of(map).low, 0.125);
  EXPECT_DOUBLE_EQ(scale_of(map).high, 0.5);
  EXPECT_DOUBLE_EQ(scale_of(map).good, 0.125);
  const cv::Mat roi = (cv::Mat_<uchar>(1, 3) << 255, 0, 1);
  EXPECT_DOUBLE_EQ(scale_of(map, roi).high, 0.25);
}

TEST(Overlay, ColoursEndAtTheScale) {
  auto content = content_of({200, 200});
  const auto at = [&](int x) { return draw_overlay(content).at<cv::Vec3b>(200, 8 + 448 + 8 + x); };
  const cv::Vec3b hot = at(60), cold = at(400);
  content.map.setTo(7.0, content.map > 0.5);  // past the ends are the ends
  content.map.setTo(-7.0, content.map < 0.5);
  EXPECT_EQ(at(60), hot);
  EXPECT_EQ(at(400), cold);
  content.scale = {0, 0, 0};  // of a constant map
  content.map.setTo(0.0);
  EXPECT_EQ(at(60), cold);
}

TEST(Overlay, TheColourBarGoesFromBlueToRed) {
  const cv::Mat overlay = draw_overlay(content_of({200, 200}));
  const cv::Mat bar = overlay.row(8 + 448 + 8 + 30 + 7);  // footer, and the middle of the bar
  int first = -1, last = -1;
  for (int x = 0; x < bar.cols; ++x) {
    const auto& pixel = bar.at<cv::Vec3b>(0, x);
    const auto [low, high] = std::minmax({pixel[0], pixel[1], pixel[2]});
    if (high - low < 30) continue;  // background and text are grey
    if (first < 0) first = x;
    last = x;
  }
  ASSERT_EQ(last - first + 1, 448);
  const auto cold = bar.at<cv::Vec3b>(0, first), hot = bar.at<cv::Vec3b>(0, last);
  EXPECT_GT(cold[2], cold[0]);
  EXPECT_GT(hot[0], hot[2]);
}

TEST(Overlay, NothingIsOutlinedWhereGoodPicturesAreAsHot) {
  auto content = content_of({448, 448});
  content.map.setTo(0);
  content.map(cv::Rect(100, 100, 200, 200)).setTo(1);
  const auto white = [&] {
    cv::Mat found;
    cv::inRange(draw_overlay(content)(cv::Rect(8 + 448 + 8, 8, 448, 448)), cv::Scalar::all(150),
                cv::Scalar::all(255), found);
    return cv::countNonZero(found);
  };
  content.scale.good = 0.5;
  EXPECT_GT(white(), 448);
  content.scale.good = 1;
  EXPECT_EQ(white(), 0);
}

}  // namespace
}  // namespace nagl
