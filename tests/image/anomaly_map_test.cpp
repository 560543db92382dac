#include "nagl/image/anomaly_map.h"

#include <opencv2/core.hpp>
#include <opencv2/imgcodecs.hpp>
#include <opencv2/imgproc.hpp>

#include "tensors.h"

namespace nagl {
namespace {

using testing::TemporaryFolder;

TEST(AnomalyMap, AConstantStaysConstantAtAnySize) {
  const auto scores = torch::full({32, 32}, 0.25F);
  for (const cv::Size size : {cv::Size(1, 1), cv::Size(900, 7), cv::Size(448, 448)}) {
    const cv::Mat map = make_anomaly_map(scores, size);
    EXPECT_EQ(map.size(), size);
    double low = 0, high = 0;
    cv::minMaxLoc(map, &low, &high);
    EXPECT_NEAR(low, 0.25, 1e-6);
    EXPECT_NEAR(high, 0.25, 1e-6);
  }
}

/// The map by its definition: bilinear with half-pixel centres, then the Gaussian, in double.
double by_definition(const at::Tensor& scores, const cv::Size& size, int y, int x) {
  const auto clamp = [](int value, int count) { return std::min(std::max(value, 0), count - 1); };
  const auto bilinear = [&](int row, int column) {
    const int rows = static_cast<int>(scores.size(0)), columns = static_cast<int>(scores.size(1));
    const double v = (row + 0.5) * rows / size.height - 0.5;
    const double u = (column + 0.5) * columns / size.width - 0.5;
    const int top = static_cast<int>(std::floor(v)), left = static_cast<int>(std::floor(u));
    double sum = 0;
    for (const int dy : {0, 1}) {
      for (const int dx : {0, 1}) {
        const double weight = (dy ? v - top : top + 1 - v) * (dx ? u - left : left + 1 - u);
        sum += weight * scores[clamp(top + dy, rows)][clamp(left + dx, columns)].item<float>();
      }
    }
    return sum;
  };
  const auto mirror = [](int value, int count) {
    return value < 0 ? -1 - value : value >= count ? 2 * count - 1 - value : value;
  };
  double sum = 0, weights = 0;
  for (int dy = -16; dy <= 16; ++dy) {
    for (int dx = -16; dx <= 16; ++dx) {
      const double weight = std::exp(-(dy * dy + dx * dx) / 32.0);
      sum += weight * bilinear(mirror(y + dy, size.height), mirror(x + dx, size.width));
      weights += weight;
    }
  }
  return sum / weights;
}

TEST(AnomalyMap, IsBilinearThenGaussianWithMirroredBorder) {
  at::manual_seed(3);
  const auto scores = torch::rand({4, 5});
  const cv::Size size(50, 40);
  const cv::Mat map = make_anomaly_map(scores, size);
  for (const cv::Point at :
       {cv::Point(0, 0), cv::Point(49, 39), cv::Point(25, 20), cv::Point(3, 30)}) {
    EXPECT_NEAR(map.at<float>(at), by_definition(scores, size, at.y, at.x), 1e-4) << at;
  }
}

TEST(AnomalyMapStitcher, TilesWithTheSameScoreLeaveNoSeam) {
  const TileGrid tiles = cut_into_tiles({150, 90}, {60, 0.25});
  AnomalyMapStitcher stitcher(tiles);
  for (std::size_t i = 0; i < tiles.count(); ++i) stitcher.add(i, torch::full({4, 4}, 0.25F));
  const cv::Mat map = stitcher.take();
  ASSERT_EQ(map.size(), cv::Size(150, 90));
  double low = 0, high = 0;
  cv::minMaxLoc(map, &low, &high);
  EXPECT_NEAR(low, 0.25, 1e-6);
  EXPECT_NEAR(high, 0.25, 1e-6);
}

TEST(AnomalyMapStitcher, IsTheBlendOfTheTilesUnderOneGaussian) {
  // Three tiles in a row; each pixel is the mean of the tiles there, weighted by the distance from
  // the nearer edge, smoothed over the whole picture.
  const TileGrid tiles = cut_into_tiles({100, 40}, {40, 0.25});
  at::manual_seed(5);
  AnomalyMapStitcher stitcher(tiles);
  cv::Mat sum = cv::Mat::zeros(40, 100, CV_64F), weights = sum.clone();
  for (std::size_t i = 0; i < tiles.count(); ++i) {
    const auto scores = torch::rand({5, 5});
    stitcher.add(i, scores);
    cv::Mat patches(5, 5, CV_32F, scores.data_ptr()), tile;
    cv::resize(patches, tile, {40, 40}, 0, 0, cv::INTER_LINEAR);
    for (int y = 0; y < 40; ++y) {
      for (int x = 0; x < 40; ++x) {
        const double weight = std::min(x, 39 - x) + 0.5;
        const cv::Point at(x + tiles.at(i).x, y);
        sum.at<double>(at) += weight * tile.at<float>(y, x);
        weights.at<double>(at) += weight;
      }
    }
  }
  cv::Mat expected;
  cv::GaussianBlur(sum / weights, expected, {33, 33}, 4, 4, cv::BORDER_REFLECT);
  const cv::Mat map = stitcher.take();
  for (const int x : {0, 15, 35, 37, 50, 66, 99}) {
    EXPECT_NEAR(map.at<float>(20, x), expected.at<double>(20, x), 1e-4) << x;
    EXPECT_NEAR(map.at<float>(0, x), expected.at<double>(0, x), 1e-4) << x;
  }
}

TEST(AnomalyMap, PngHolds16BitsAndNpyIsExact) {
  const TemporaryFolder folder;
  const cv::Mat map = (cv::Mat_<float>(2, 3) << 0, 0.5F, 1, 1.0F / 65535, 0.25F, 2);
  write_map_png(folder / "m.png", map);
  const cv::Mat png = cv::imread((folder / "m.png").string(), cv::IMREAD_UNCHANGED);
  ASSERT_EQ(png.type(), CV_16U);
  EXPECT_EQ(png.at<ushort>(0, 0), 0);
  EXPECT_NEAR(png.at<ushort>(0, 1), 32768, 1);
  EXPECT_EQ(png.at<ushort>(0, 2), 65535);
  EXPECT_EQ(png.at<ushort>(1, 0), 1);
  EXPECT_EQ(png.at<ushort>(1, 1), 16384);  // 16383.75
  EXPECT_EQ(png.at<ushort>(1, 2), 65535);
  write_map_npy(folder / "m.npy", map);
  const std::string npy = testing::slurp(folder / "m.npy");
  EXPECT_EQ(npy.substr(0, 8), std::string("\x93NUMPY\x01\x00", 8));
  ASSERT_EQ(npy.size() % 64, 6 * sizeof(float) % 64);
  EXPECT_NE(npy.find("'shape': (2, 3)"), std::string::npos);
  const std::string data = npy.substr(npy.size() - 6 * sizeof(float));
  EXPECT_EQ(std::memcmp(data.data(), map.data, data.size()), 0);
}

TEST(AnomalyMap, HottestRegionIsTheOneAroundThePeak) {
  cv::Mat map(20, 20, CV_32F, cv::Scalar(0.1));
  map(cv::Rect(2, 2, 3, 3)).setTo(0.8);
  map(cv::Rect(10, 10, 4, 4)).setTo(0.9);
  const cv::Mat region = hottest_region(map);
  EXPECT_EQ(cv::countNonZero(region), 16);
  EXPECT_EQ(cv::countNonZero(region(cv::Rect(10, 10, 4, 4))), 16);
  EXPECT_EQ(cv::countNonZero(hottest_region(cv::Mat(5, 5, CV_32F, cv::Scalar(0.3)))), 0);
}

}  // namespace
}  // namespace nagl
