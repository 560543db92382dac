#include "nagl/image/preprocess.h"

#include <opencv2/core.hpp>

#include "nagl/image/image.h"
#include "nagl/image/mask.h"
#include "tensors.h"

namespace nagl {
namespace {

using testing::max_difference;

TEST(Preprocess, KeepsAPictureOfTheRightSizeAndNormalises) {
  Image image;
  image.rgb = cv::Mat(2, 3, CV_8UC3, cv::Scalar(255, 0, 51));
  const auto resized = resize_like_pillow(image.rgb, {2, 3});
  EXPECT_TRUE(resized[0].eq(255).all().item<bool>());
  EXPECT_TRUE(resized[2].eq(51).all().item<bool>());
  const auto tensor = preprocess(image.rgb, {2, 3});
  EXPECT_EQ(tensor.sizes(), at::IntArrayRef({3, 2, 3}));
  EXPECT_NEAR(tensor[0][1][2].item<float>(), (1 - 0.485) / 0.229, 1e-5);
  EXPECT_NEAR(tensor[1][0][0].item<float>(), (0 - 0.456) / 0.224, 1e-5);
  EXPECT_NEAR(tensor[2][0][0].item<float>(), (0.2 - 0.406) / 0.225, 1e-5);
}

TEST(Preprocess, TakesAnySize) {
  Image image;
  for (const cv::Size size : {cv::Size(1, 1), cv::Size(2000, 10), cv::Size(3, 700)}) {
    image.rgb = cv::Mat(size, CV_8UC3, cv::Scalar(9, 9, 9));
    const auto resized = resize_like_pillow(image.rgb, {28, 42});
    EXPECT_TRUE(resized.eq(9).all().item<bool>()) << size;
  }
  const cv::Mat whole(20, 20, CV_8UC3, cv::Scalar(1, 2, 3));
  EXPECT_EQ(resize_like_pillow(whole(cv::Rect(3, 3, 7, 9)), {9, 7}).sizes(),
            at::IntArrayRef({3, 9, 7}));  // a view that is not contiguous
}

TEST(Preprocess, goldenPicturesOfPillow) {
  NAGL_NEEDS_TEST_DATA(data);
  const WeightsFile golden(data / "golden/backbone.safetensors");
  const std::pair<const char*, const char*> pictures[] = {
      {"hazelnut_colour_05.rgb448", "data/surface/hazelnut/test/colour/05.jpg"},
      {"magnetic_tile_crack_005.rgb448", "data/surface/magnetic_tile/test/crack/005.png"}};
  for (const auto& [tensor, file] : pictures) {
    const auto expected = golden.read(tensor).permute({2, 0, 1}).to(at::kInt);
    const auto own = resize_like_pillow(read_image(data / file).rgb, {448, 448}).to(at::kInt);
    const auto difference = (own - expected).abs();
    EXPECT_LE(difference.max().item<int>(), 2) << file;
    EXPECT_LT(difference.gt(0).to(at::kFloat).mean().item<float>(), 0.01) << file;
  }
}

TEST(Mask, IsResizedByNearestNeighbour) {
  cv::Mat mask = cv::Mat::zeros(2, 2, CV_8U);
  mask.at<uchar>(0, 1) = 7;
  const auto doubled = resize_mask(mask, {4, 4});
  const auto expected = torch::tensor({{0, 0, 1, 1}, {0, 0, 1, 1}, {0, 0, 0, 0}, {0, 0, 0, 0}});
  EXPECT_TRUE(doubled.to(at::kLong).equal(expected));
  // Of 5 pixels at size 2, numbers floor(0 x 2.5) and floor(1 x 2.5).
  cv::Mat row = cv::Mat::zeros(1, 5, CV_8U);
  row.at<uchar>(0, 0) = 255;
  EXPECT_TRUE(resize_mask(row, {1, 2}).to(at::kLong).equal(torch::tensor({{1, 0}})));
}

TEST(Mask, PatchesOfA4x4MaskWithPatch2) {
  auto mask = torch::zeros({4, 4}, at::kByte);
  mask[1][2] = 1;  // in the upper right patch
  EXPECT_TRUE(mask_to_patches(mask, 2).equal(torch::tensor({false, true, false, false})));
  // One pixel up and left, the windows start at -1 and 1: (1, 2) is in the last of them.
  EXPECT_TRUE(mask_to_patches(mask, 2, MaskAlignment::kPublished)
                  .equal(torch::tensor({false, false, false, true})));
  mask.zero_();
  mask[3][3] = 1;  // the published windows do not reach the last row and column
  EXPECT_TRUE(mask_to_patches(mask, 2).equal(torch::tensor({false, false, false, true})));
  EXPECT_FALSE(mask_to_patches(mask, 2, MaskAlignment::kPublished).any().item<bool>());
}

TEST(Mask, MarksThePatchesInWhichAnyPixelLies) {
  const auto marked = [](int height, int width, std::vector<cv::Point> pixels, std::int64_t rows,
                         std::int64_t columns) {
    cv::Mat mask = cv::Mat::zeros(height, width, CV_8U);
    for (const auto& pixel : pixels) mask.at<uchar>(pixel) = 255;
    return marked_patches(mask, rows, columns).reshape({rows, columns});
  };
  EXPECT_TRUE(marked(4, 4, {{2, 1}}, 2, 2).equal(torch::tensor({{false, true}, {false, false}})));
  // A line of one pixel through a large picture, of which a smaller one keeps nothing.
  std::vector<cv::Point> line;
  for (int y = 0; y < 1000; ++y) line.emplace_back(701, y);
  const at::Tensor scratch = marked(1000, 1400, line, 4, 4);
  EXPECT_TRUE(scratch.equal(torch::tensor({{false, false, true, false}}).expand({4, 4})));
  // Of 5 pixels over 2 patches the middle one's centre lies on the edge, and counts to the second.
  EXPECT_TRUE(marked(1, 5, {{2, 0}}, 1, 2).equal(torch::tensor({{false, true}})));
  EXPECT_TRUE(marked(1, 5, {{1, 0}}, 1, 2).equal(torch::tensor({{true, false}})));
  // Fewer pixels than patches.
  EXPECT_TRUE(marked(1, 2, {{1, 0}}, 1, 4).equal(torch::tensor({{false, false, true, true}})));
  EXPECT_FALSE(marked(3, 3, {}, 2, 2).any().item<bool>());
  EXPECT_THROW(marked_patches(cv::Mat(), 2, 2), DataError);
}

TEST(Mask, golden) {
  NAGL_NEEDS_TEST_DATA(data);
  const WeightsFile golden(data / "golden/episode_colour.safetensors");
  const auto mask = resize_mask(
      read_mask(data / "data/surface/hazelnut/ground_truth/colour/00.png").marks, {448, 448});
  EXPECT_TRUE(mask.equal(golden.read("abnormal_mask448").reshape({448, 448}).gt(0).to(at::kByte)));
  EXPECT_TRUE(mask_to_patches(mask, 14, MaskAlignment::kPublished)
                  .equal(golden.read("patch_mask").flatten().gt(0)));
  const auto query_mask = resize_mask(
      read_mask(data / "data/surface/hazelnut/ground_truth/colour/05.png").marks, {448, 448});
  EXPECT_EQ(max_difference(query_mask, golden.read("query_mask448").reshape({448, 448})), 0);
}

}  // namespace
}  // namespace nagl
