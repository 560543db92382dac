#include "nagl/encoding/picture_encoder.h"

#include <opencv2/core.hpp>

#include "nagl/core/error.h"
#include "tensors.h"
#include "tiny_backbone.h"

namespace nagl {
namespace {

using testing::max_difference;
using testing::message_of;
using testing::TemporaryFolder;

cv::Mat noise(std::uint64_t seed, cv::Size size) {
  cv::Mat rgb(size, CV_8UC3);
  cv::RNG(seed).fill(rgb, cv::RNG::UNIFORM, 0, 256);
  return rgb;
}

class PictureEncoderTest : public ::testing::Test {
 protected:
  PictureEncoderTest() : backbone_(testing::tiny_backbone(folder_.path(), 3)) {
    options_.image_size = {8, 12};
  }

  const TemporaryFolder folder_;
  std::shared_ptr<const Backbone> backbone_;
  EncodingOptions options_;
};

TEST_F(PictureEncoderTest, SaysWhatItsFeaturesDependOn) {
  const PictureEncoder encoder(backbone_, options_);
  EXPECT_EQ(encoder.options().layer, 2);  // the backbone's own
  EXPECT_EQ(encoder.grid().rows, 2);
  EXPECT_EQ(encoder.grid().columns, 3);
  options_.layer = 2;
  EXPECT_TRUE(encoder.options() == options_);
  options_.decode.bit_depth = 12;
  EXPECT_FALSE(encoder.options() == options_);
  options_.layer = 1;
  const auto message = message_of<ConfigError>([&] { PictureEncoder(backbone_, options_); });
  EXPECT_NE(message.find("layer 1"), std::string::npos) << message;
  options_.layer.reset();
  options_.image_size = {8, 13};
  EXPECT_THROW(PictureEncoder(backbone_, options_), ConfigError);
}

TEST_F(PictureEncoderTest, OptionsSurviveAsJson) {
  options_.tiling = {80, 0.5};
  options_.mask_alignment = MaskAlignment::kPublished;
  EncodingOptions read;
  option_from_json(read, option_to_json(options_));
  EXPECT_TRUE(read == options_);
  option_from_json(read, Json{{"image_size", "16x20"}});
  EXPECT_TRUE((read.image_size == ImageSize{16, 20}));
}

TEST_F(PictureEncoderTest, MarksThePatchesOfAMask) {
  const PictureEncoder encoder(backbone_, options_);
  cv::Mat mask = cv::Mat::zeros(8, 12, CV_8U);
  mask.at<std::uint8_t>(5, 4) = 255;  // the second row of patches, the second column
  const at::Tensor marked = encoder.patch_mask(mask);
  EXPECT_EQ(marked.sum().item<std::int64_t>(), 1);
  EXPECT_TRUE(marked[3 + 1].item<bool>());
}

TEST_F(PictureEncoderTest, BatchesKeepTheOrderAndLeaveNothing) {
  const PictureEncoder encoder(backbone_, options_, 3);
  std::vector<int> order;
  std::vector<std::size_t> sizes;
  std::vector<at::Tensor> features;
  ViewBatches<int> batches(encoder, [&](const at::Tensor& batch, std::vector<int>& tags) {
    sizes.push_back(tags.size());
    for (std::size_t i = 0; i < tags.size(); ++i) {
      order.push_back(tags[i]);
      features.push_back(batch[static_cast<std::int64_t>(i)]);
    }
  });
  for (int i = 0; i < 7; ++i) {
    batches.add(encoder.pixels(noise(static_cast<std::uint64_t>(i) + 1, {30, 20})), i);
  }
  EXPECT_EQ(batches.waiting(), 1U);
  batches.flush();
  batches.flush();  // nothing waits any more
  EXPECT_EQ(order, (std::vector<int>{0, 1, 2, 3, 4, 5, 6}));
  EXPECT_EQ(sizes, (std::vector<std::size_t>{3, 3, 1}));
  for (std::size_t i = 0; i < features.size(); ++i) {
    const at::Tensor alone = encoder.encode(encoder.pixels(noise(i + 1, {30, 20})).unsqueeze(0))[0];
    EXPECT_LT(max_difference(features[i], alone), 1e-5) << i;
  }
}

TEST_F(PictureEncoderTest, SeveralLayersComeFromOnePass) {
  const PictureEncoder encoder(backbone_, options_);
  const at::Tensor pixels = encoder.pixels(noise(1, {30, 20})).unsqueeze(0);
  const auto layers = encoder.encode(pixels, {2, 0});
  ASSERT_EQ(layers.size(), 2U);
  EXPECT_TRUE(layers[0].patches.equal(encoder.encode(pixels)));
  EXPECT_EQ(layers[1].patches.sizes(), at::IntArrayRef({1, 6, 64}));
  EXPECT_EQ(layers[1].class_token.sizes(), at::IntArrayRef({1, 64}));
  EXPECT_GT(max_difference(layers[0].patches, layers[1].patches), 1e-3);
}

TEST_F(PictureEncoderTest, ReadsAheadInOrder) {
  const PictureEncoder encoder(backbone_, options_, 2);
  auto reader = encoder.read_ahead<int>(5, [](std::size_t i) { return static_cast<int>(10 * i); });
  for (int i = 0; i < 5; ++i) EXPECT_EQ(reader.next(), 10 * i);
}

}  // namespace
}  // namespace nagl
