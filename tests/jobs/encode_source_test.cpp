#include "nagl/jobs/encode_source.h"

#include <opencv2/core.hpp>
#include <opencv2/imgproc.hpp>

#include "nagl/core/error.h"
#include "nagl/image/mask.h"
#include "tensors.h"
#include "tiny_backbone.h"

namespace nagl::jobs {
namespace {

using testing::max_difference;
using testing::message_of;
using testing::slurp;
using testing::spill;
using testing::TemporaryFolder;

/// Ten pictures, of which every third has a defect, and a store for their features.
class EncodeSourceTest : public ::testing::Test {
 protected:
  EncodeSourceTest() : encoder_(testing::tiny_backbone(folder_.path()), options(), 3) {
    for (int i = 0; i < 10; ++i) {
      const auto name = std::to_string(i);
      cv::Mat rgb(16, 24, CV_8UC3);
      cv::RNG(static_cast<std::uint64_t>(i) + 1).fill(rgb, cv::RNG::UNIFORM, 0, 256);
      write_png(folder_ / (name + ".png"), rgb);
      SourcePicture picture{"part", "", folder_ / (name + ".png"), {}};
      if (i % 3 == 2) {
        cv::Mat mask = cv::Mat::zeros(16, 24, CV_8U);
        mask(cv::Rect(2 * i, 3, 4, 5)).setTo(255);
        write_png(folder_ / (name + "_mask.png"), mask);
        picture.defect = "crack";
        picture.masks = {folder_ / (name + "_mask.png")};
      }
      pictures_.push_back(picture);
    }
  }

  static EncodingOptions options() {
    EncodingOptions options;
    options.image_size = {8, 12};
    return options;
  }
  FeatureStore store() const {
    FeatureStoreOptions stored;
    stored.type = StoreType::kFloat32;
    return {folder_ / "features", store_format(encoder_, stored)};
  }
  at::Tensor features_of(const SourcePicture& picture) const {
    const at::Tensor pixels = encoder_.pixels(encoder_.read(picture.path).rgb);
    return encoder_.encode(pixels.unsqueeze(0))[0];
  }
  /// Encodes, and notes how far it came. `stop_after`: so many encoded pictures, or checked ones.
  std::vector<std::string> encode(FeatureStore& store, std::int64_t stop_after = 100,
                                  std::int64_t stop_looking_after = 100) {
    checked_ = encoded_ = wanted_ = 0;
    JobObserver observer;
    observer.progress = [this](const std::string& stage, std::int64_t done, std::int64_t total) {
      if (stage == "encoding") {
        encoded_ = done;
        wanted_ = total;
      } else {
        checked_ = done;
      }
    };
    observer.stop = [=, this] {
      return encoded_ >= stop_after || (encoded_ == 0 && checked_ >= stop_looking_after);
    };
    return encode_source(store, pictures_, encoder_, observer);
  }

  const TemporaryFolder folder_;
  PictureEncoder encoder_;
  std::vector<SourcePicture> pictures_;
  std::int64_t checked_ = 0, encoded_ = 0, wanted_ = 0;
};

TEST_F(EncodeSourceTest, EncodesEveryPictureOnce) {
  auto first = store();
  const auto keys = encode(first);
  EXPECT_EQ(wanted_, 10);
  EXPECT_EQ(encoded_, 10);
  ASSERT_EQ(keys.size(), 10U);
  for (std::size_t i = 0; i < 10; ++i) {
    SCOPED_TRACE(i);
    EXPECT_EQ(keys[i], first.key_of(pictures_[i]));
    const auto stored = first.get(keys[i]);
    EXPECT_LT(max_difference(stored.features, features_of(pictures_[i])), 1e-5);
    ASSERT_EQ(stored.patch_mask.defined(), pictures_[i].anomalous());
    if (!pictures_[i].anomalous()) continue;
    const Image image = encoder_.read(pictures_[i].path);
    const cv::Mat mask = read_masks_for(image, pictures_[i].masks).marks;
    EXPECT_TRUE(stored.patch_mask.equal(encoder_.patch_mask(mask)));
    EXPECT_TRUE(first.network_mask(stored).equal(resize_mask(mask, {8, 12})));
  }
  auto second = store();
  EXPECT_EQ(encode(second), keys);
  EXPECT_EQ(wanted_, 0);  // nothing was left to encode
  EXPECT_TRUE(second.get(keys[2]).features.equal(first.get(keys[2]).features));
}

TEST_F(EncodeSourceTest, EntriesSayHowTheyWereEncoded) {
  auto first = store();
  const auto keys = encode(first);
  const WeightsFile entry(first.path_of(keys[0]));
  EXPECT_EQ(Json::parse(entry.metadata().at("encoding")), option_to_json(encoder_.options()));
}

/// An entry's key is of these texts, in this order: to change one makes all stores anew.
TEST_F(EncodeSourceTest, KeysAreOfWhatEntriesDependOn) {
  const FeatureFormat format = store().format();
  std::vector<std::string> names;
  for (const auto& [name, value] : format.recipe.items()) names.push_back(name);
  EXPECT_EQ(names, (std::vector<std::string>{"backbone", "backbone_checksum", "layer", "precision",
                                             "device", "preprocess_version", "bit_depth",
                                             "mask_alignment", "mask_version"}));
  EXPECT_EQ(format.recipe["mask_version"], 2);
  EXPECT_EQ(format.recipe["preprocess_version"], 1);
  EXPECT_EQ(format.recipe["precision"], "float32");
  EXPECT_EQ(format.recipe["mask_alignment"], "aligned");
}

TEST_F(EncodeSourceTest, MakesDamagedEntriesAnew) {
  auto first = store();
  const auto keys = encode(first);
  const auto path = first.path_of(keys[4]);
  const auto whole = slurp(path);
  auto flipped = whole;
  flipped.back() = static_cast<char>(flipped.back() ^ 1);
  for (const auto& damaged : {flipped, whole.substr(0, whole.size() / 2), std::string(),
                              std::string("this is no entry at all")}) {
    spill(path, damaged);
    auto next = store();
    EXPECT_EQ(encode(next), keys);
    EXPECT_EQ(wanted_, 1);
    EXPECT_TRUE(next.check(keys[4]));
    EXPECT_LT(max_difference(next.get(keys[4]).features, features_of(pictures_[4])), 1e-5);
  }
}

TEST_F(EncodeSourceTest, GoesOnWhereItWasStopped) {
  auto first = store();
  EXPECT_TRUE(encode(first, /*stop_after=*/6).empty());
  EXPECT_EQ(encoded_, 6);
  auto second = store();
  EXPECT_EQ(encode(second).size(), 10U);
  EXPECT_EQ(wanted_, 4);
  // It can be stopped while it looks at what is there, too.
  auto third = store();
  EXPECT_TRUE(encode(third, 100, /*stop_looking_after=*/2).empty());
  EXPECT_EQ(checked_, 2);
}

TEST_F(EncodeSourceTest, KeepsWhatWasEncodedBeforeABadPicture) {
  const auto whole = slurp(pictures_[7].path);
  spill(pictures_[7].path, "no picture");
  auto first = store();
  const auto message = message_of<DataError>([&] { encode(first); });
  EXPECT_NE(message.find("7.png"), std::string::npos) << message;
  spill(pictures_[7].path, whole);
  auto second = store();
  EXPECT_EQ(encode(second).size(), 10U);
  EXPECT_EQ(wanted_, 4);
}

TEST_F(EncodeSourceTest, RefusesADiskWithTooLittleRoom) {
  // A grid whose features would take 10^18 bytes; nothing of that size is ever made.
  FeatureFormat huge = store().format();
  huge.grid = {std::int64_t{1} << 30, std::int64_t{1} << 22};
  FeatureStore large(folder_ / "large", huge);
  pictures_.resize(1);
  const auto message = message_of<DataError>([&] { encode(large); });
  EXPECT_NE(message.find("features of 1 pictures need"), std::string::npos) << message;
  EXPECT_NE(message.find((folder_ / "large").string()), std::string::npos) << message;
}

}  // namespace
}  // namespace nagl::jobs
