#include "nagl/detection/regions.h"

#include <opencv2/core.hpp>

#include "support.h"

namespace nagl {
namespace {

TEST(Regions, ByHand) {
  cv::Mat map = cv::Mat::zeros(6, 8, CV_32F);
  map.at<float>(1, 1) = 0.6F;  // three pixels, one of them over the corner
  map.at<float>(1, 2) = 0.8F;
  map.at<float>(2, 3) = 0.7F;
  map.at<float>(5, 7) = 0.9F;
  map.at<float>(4, 0) = 0.5F;  // not above
  const auto regions = regions_above(map, 0.5);
  ASSERT_EQ(regions.size(), 2U);
  EXPECT_EQ(regions[0].box, cv::Rect(7, 5, 1, 1));
  EXPECT_EQ(regions[0].area, 1);
  EXPECT_NEAR(regions[0].peak_score, 0.9, 1e-6);
  EXPECT_EQ(regions[1].box, cv::Rect(1, 1, 3, 2));
  EXPECT_EQ(regions[1].area, 3);
  EXPECT_EQ(regions[1].peak, cv::Point(2, 1));
  EXPECT_NEAR(regions[1].mean_score, 0.7, 1e-6);
  EXPECT_TRUE(regions_above(map, 0.9).empty());
}

}  // namespace
}  // namespace nagl
