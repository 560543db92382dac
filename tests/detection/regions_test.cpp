#include "nagl/detection/regions.h"

#include <opencv2/core.hpp>

#include "support.h"

namespace nagl {
namespace {

cv::Mat map_of_spots() {
  cv::Mat map = cv::Mat::zeros(6, 8, CV_32F);
  map.at<float>(1, 1) = 0.6F;  // three pixels, one of them over the corner
  map.at<float>(1, 2) = 0.8F;
  map.at<float>(2, 3) = 0.7F;
  map.at<float>(5, 7) = 0.9F;
  map.at<float>(4, 0) = 0.5F;  // not above
  return map;
}

TEST(Regions, ByHand) {
  const cv::Mat map = map_of_spots();
  const auto regions = find_regions(map, {0.5, 0.5});
  ASSERT_EQ(regions.size(), 2U);
  EXPECT_EQ(regions[0].box, cv::Rect(7, 5, 1, 1));
  EXPECT_EQ(regions[0].area, 1);
  EXPECT_NEAR(regions[0].peak_score, 0.9, 1e-6);
  EXPECT_EQ(regions[1].box, cv::Rect(1, 1, 3, 2));
  EXPECT_EQ(regions[1].area, 3);
  EXPECT_EQ(regions[1].peak, cv::Point(2, 1));
  EXPECT_NEAR(regions[1].mean_score, 0.7, 1e-6);
  EXPECT_TRUE(find_regions(map, {0.9, 0.9}).empty());
}

TEST(Regions, GrowFromSeedsOverFainterPixels) {
  const cv::Mat map = map_of_spots();
  // Only two seeds are above 0.75; from 0.8 the region takes in 0.7 and 0.6, and 0.5 is no seed.
  cv::Mat mask;
  const auto regions = find_regions(map, {0.75, 0.4}, &mask);
  ASSERT_EQ(regions.size(), 2U);
  EXPECT_EQ(regions[1].area, 3);
  EXPECT_EQ(cv::countNonZero(mask), 4);
  EXPECT_EQ(mask.at<std::uint8_t>(2, 3), 255);
  EXPECT_EQ(mask.at<std::uint8_t>(4, 0), 0);
  // A faint bridge joins two seeds into one.
  cv::Mat scratch = cv::Mat::zeros(1, 5, CV_32F);
  for (int x = 0; x < 5; ++x) scratch.at<float>(0, x) = x == 2 ? 0.65F : 0.8F;
  EXPECT_EQ(find_regions(scratch, {0.7, 0.7}).size(), 2U);
  const auto joined = find_regions(scratch, region_rules(0.7, 0.1));  // from 0.58
  ASSERT_EQ(joined.size(), 1U);
  EXPECT_EQ(joined[0].area, 5);
}

TEST(Regions, SmallOnesAreNoneIfSoAsked) {
  cv::Mat mask;
  const auto regions = find_regions(map_of_spots(), {0.5, 0.5, 2}, &mask);
  ASSERT_EQ(regions.size(), 1U);
  EXPECT_EQ(regions[0].area, 3);
  EXPECT_EQ(cv::countNonZero(mask), 3);
}

TEST(Regions, NeverGrowUpwards) {
  EXPECT_DOUBLE_EQ(region_rules(0.5, 0).growth, 0.4);
  EXPECT_DOUBLE_EQ(region_rules(4, -1).growth, 3);
  EXPECT_DOUBLE_EQ(region_rules(-2, 0).growth, -2);  // a threshold below what is usual
}

}  // namespace
}  // namespace nagl
