#include "nagl/image/alteration.h"

#include <array>
#include <opencv2/core.hpp>
#include <utility>

#include "support.h"

namespace nagl {
namespace {

cv::Mat noise(int rows, int columns) {
  cv::Mat picture(rows, columns, CV_8UC3);
  cv::RNG(3).fill(picture, cv::RNG::UNIFORM, 0, 256);
  return picture;
}

TEST(Alteration, QuarterTurnsMovePixelsOntoPixelsWhateverTheProportions) {
  for (const cv::Size size : {cv::Size(31, 20), cv::Size(31, 31)}) {
    const cv::Mat picture = noise(size.height, size.width), before = picture.clone();
    const std::array turns = {std::pair(90.0, cv::ROTATE_90_COUNTERCLOCKWISE),
                              std::pair(180.0, cv::ROTATE_180),
                              std::pair(270.0, cv::ROTATE_90_CLOCKWISE)};
    for (const auto& [degrees, code] : turns) {
      cv::Mat expected;
      cv::rotate(picture, expected, code);
      Alteration turn;
      turn.degrees = degrees;
      const cv::Mat turned = altered(picture, turn);
      ASSERT_EQ(turned.size(), expected.size()) << degrees;
      EXPECT_EQ(cv::norm(turned, expected, cv::NORM_INF), 0) << degrees;
      EXPECT_EQ(cv::norm(picture, before, cv::NORM_INF), 0) << degrees;  // the caller's stays
    }
  }
}

TEST(Alteration, WhatComesInFromOutsideMirrorsTheInside) {
  const cv::Mat picture = noise(20, 40);
  Alteration shift;
  shift.shift_x = 0.25;  // ten pixels to the right
  const cv::Mat moved = altered(picture, shift);
  EXPECT_EQ(moved.size(), picture.size());
  EXPECT_EQ(moved.at<cv::Vec3b>(7, 30), picture.at<cv::Vec3b>(7, 20));
  EXPECT_EQ(moved.at<cv::Vec3b>(7, 9), picture.at<cv::Vec3b>(7, 0));  // the edge repeated
  EXPECT_EQ(moved.at<cv::Vec3b>(7, 0), picture.at<cv::Vec3b>(7, 9));
  Alteration turn;
  turn.degrees = 80;  // the long side reaches far beyond the picture
  EXPECT_EQ(altered(picture, turn).size(), picture.size());
  EXPECT_GT(cv::mean(altered(cv::Mat(20, 40, CV_8UC3, cv::Scalar::all(9)), turn))[0], 8.9);
}

TEST(Alteration, GainSaturatesAndNothingIsNothing) {
  const cv::Mat picture =
      (cv::Mat_<cv::Vec3b>(1, 2) << cv::Vec3b(100, 100, 100), cv::Vec3b(250, 0, 10));
  Alteration brighter;
  brighter.gain = 1.1;
  EXPECT_EQ(altered(picture, brighter).at<cv::Vec3b>(0, 0), cv::Vec3b(110, 110, 110));
  EXPECT_EQ(altered(picture, brighter).at<cv::Vec3b>(0, 1), cv::Vec3b(255, 0, 11));
  EXPECT_EQ(altered(picture, {}).data, picture.data);
}

}  // namespace
}  // namespace nagl
