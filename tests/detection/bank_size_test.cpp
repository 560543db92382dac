#include "detection/bank_size.h"

#include "nagl/core/error.h"
#include "nagl/detection/bank_edit.h"
#include "nagl/model/standardised_score.h"
#include "parts.h"

namespace nagl {
namespace {

using testing::defect_mask;
using testing::max_difference;
using testing::message_of;
using testing::part;

constexpr double kDegree = 3.14159265358979 / 180;

at::Tensor at_angles(const std::vector<double>& degrees) {
  std::vector<at::Tensor> rows;
  for (const double angle : degrees) {
    rows.push_back(
        torch::tensor({std::cos(angle * kDegree), std::sin(angle * kDegree)}, at::kFloat));
  }
  return at::stack(rows);
}

std::vector<double> angles_of(const at::Tensor& rows) {
  std::vector<double> angles;
  for (std::int64_t i = 0; i < rows.size(0); ++i) {
    angles.push_back(
        std::round(std::atan2(rows[i][1].item<double>(), rows[i][0].item<double>()) / kDegree));
  }
  return angles;
}

TEST(BankSize, ForgetsWhatIsLeastNewByHand) {
  ReferenceFeatures features;
  // Two pictures of four patches. Beside the first, 91 and 2 of the second are nearly known.
  features.normal = at_angles({0, 90, 45, 180, 91, 2, 135, -90});
  features.normal_rows = {4, 4};
  // Six rows of two channels and a novelty are 72 bytes; 80 filled by nine tenths.
  thin_rows(features, 80);
  EXPECT_TRUE(features.thinned);
  EXPECT_EQ(angles_of(features.normal), (std::vector<double>{0, 90, 45, 180, 135, -90}));
  EXPECT_EQ(features.normal_rows, (std::vector<std::int64_t>{4, 2}));
  EXPECT_EQ(features.normal_novelty.size(0), 6);
  // What fits is left alone.
  const at::Tensor before = features.normal;
  thin_rows(features, 80);
  EXPECT_TRUE(features.normal.is_same(before));
}

TEST(BankSize, SurroundingsAreForgottenToo) {
  ReferenceFeatures features;
  features.normal = at_angles({0, 90});
  features.normal_rows = {2};
  features.abnormal = at_angles({45});
  features.patch_mask = torch::tensor({{0, 0, 0, 1, 0}}, at::kBool);
  features.abnormal_views = {1};
  features.clear = torch::tensor({{1, 1, 1, 0, 1}}, at::kBool);
  features.surroundings = at_angles({10, 11, 170, -80});
  features.drawn = at::ones({1}, at::kBool);
  features.compute_moments();
  // A defect's patch and its masks take 8 + 10 bytes; five rows of 12 are left of 89 x 0.9.
  thin_rows(features, 89);
  EXPECT_EQ(angles_of(features.surroundings), (std::vector<double>{10, 170, -80}));
  EXPECT_TRUE(features.clear.equal(torch::tensor({{1, 0, 1, 0, 1}}, at::kBool)));
  EXPECT_EQ(features.abnormal.size(0), 1);
  EXPECT_EQ(features.abnormal_moments[0].count, 4);  // of all that were there
  features.check();
  EXPECT_THROW(thin_rows(features, 20), ConfigError);
}

class BankSizeTest : public testing::PartsTest {
 protected:
  void SetUp() override {
    PartsTest::SetUp();
    if (IsSkipped()) return;
    options.encoding.image_size = {56, 56};
  }
  static Image image(std::uint64_t seed, bool defect = false) {
    return {part(seed, defect), {}, {}};
  }
  Bank reloaded(const Bank& bank) const {
    save_bank(folder / "bank.safetensors", bank, *backbone);
    return load_bank(folder / "bank.safetensors", at::kCPU);
  }
  /// One picture after the other, and the bank written and read between them.
  Bank grown(const std::vector<bool>& defects) const {
    Bank bank;
    for (std::size_t i = 0; i < defects.size(); ++i) {
      BankBuilder builder = i == 0 ? BankBuilder(backbone, options) : BankBuilder(backbone, bank);
      add(builder, i, defects[i]);
      bank = reloaded(builder.finish());
      if (options.max_size > 0) {
        EXPECT_LE(bank_bytes(bank, *backbone).size(), static_cast<std::size_t>(options.max_size));
      }
    }
    return bank;
  }
  Bank at_once(const std::vector<bool>& defects, std::int64_t batch_size = 4) const {
    BankBuilder builder(backbone, options, {}, batch_size);
    for (std::size_t i = 0; i < defects.size(); ++i) add(builder, i, defects[i]);
    return reloaded(builder.finish());
  }
  static void add(BankBuilder& builder, std::size_t i, bool defect) {
    if (defect) {
      builder.add_abnormal(image(i, true), defect_mask());
    } else {
      builder.add_normal(image(i));
    }
  }
  static void expect_equal(const Bank& a, const Bank& b) {
    EXPECT_EQ(a.normal.size(), b.normal.size());
    EXPECT_EQ(a.normal.back().checksum, b.normal.back().checksum);
    EXPECT_EQ(a.features.merged, b.features.merged);
    EXPECT_EQ(a.features.normal_rows, b.features.normal_rows);
    EXPECT_TRUE(a.features.normal.equal(b.features.normal));
    EXPECT_TRUE(a.features.normal_novelty.equal(b.features.normal_novelty));
    ASSERT_EQ(a.features.normal_moments.size(), b.features.normal_moments.size());
    for (std::size_t i = 0; i < a.features.normal_moments.size(); ++i) {
      EXPECT_EQ(a.features.normal_moments[i].count, b.features.normal_moments[i].count);
      EXPECT_TRUE(a.features.normal_moments[i].scatter.equal(b.features.normal_moments[i].scatter));
    }
  }
};

TEST_F(BankSizeTest, StaysWithinItsSizeAndKnowsTheNewestPictures) {
  options.max_size = 700'000;
  const std::vector<bool> good(90, false);
  const Bank bank = grown(good);
  EXPECT_EQ(bank.normal_count(), 90);
  EXPECT_GT(bank.features.merged, 0);
  EXPECT_EQ(static_cast<std::int64_t>(bank.normal.size()), 91 - bank.features.merged);
  EXPECT_TRUE(bank.normal.front().path.empty());
  EXPECT_EQ(bank.normal.back().checksum, checksum_of(image(89)));
  EXPECT_TRUE(bank.normal.back().thumbnail.is_near_copy(enrolled(image(89)).thumbnail));
  EXPECT_GT(bank.features.normal.size(0), 100);
  for (const std::int64_t batch_size : {1, 7}) expect_equal(bank, at_once(good, batch_size));
  EXPECT_GT(Detector(backbone, bank).detect(query(95, true)).image_score,
            2 * Detector(backbone, bank).detect(query(95, false)).image_score);
}

TEST_F(BankSizeTest, StatisticsCountWhatWasForgotten) {
  options.method = Method::kAuto;
  options.encoding.image_size = {280, 280};
  options.max_size = 13'000'000;  // four good pictures are known one by one, and a defect
  std::vector<bool> defects(24, false);
  for (const std::size_t i : {5, 17, 22}) defects[i] = true;
  const Bank full = at_once(defects);
  ASSERT_TRUE(full.features.normal_novelty.defined());
  EXPECT_LT(full.features.normal.size(0), 21 * 400);
  EXPECT_LE(bank_bytes(full, *backbone).size(), 13'000'000U);
  EXPECT_EQ(full.normal_count(), 21);
  EXPECT_EQ(full.normal.size(), 5U);
  std::int64_t patches = 0;
  for (const auto& moments : full.features.normal_moments) patches += moments.count;
  EXPECT_EQ(patches, 21 * 400);
  EXPECT_EQ(full.features.abnormal_count(), 3);
  // The direction towards the defects is that of a bank of any size.
  options.max_size = 0;
  const Bank unlimited = at_once(defects);
  const auto direction = discriminant_of(full.features).direction;
  const auto expected = discriminant_of(unlimited.features).direction;
  EXPECT_LT(max_difference(direction, expected), 1e-3 * expected.abs().max().item<double>());
}

TEST_F(BankSizeTest, IsThatOfAnySizeUntilItIsFull) {
  options.max_size = 2'000'000;
  Bank bank = at_once({false, false, false});
  options.max_size = 0;
  const Bank unlimited = at_once({false, false, false});
  bank.options.max_size = 0;
  EXPECT_TRUE(bank_bytes(bank, *backbone) == bank_bytes(unlimited, *backbone));
}

TEST_F(BankSizeTest, BanksBecomeOneWithinTheSize) {
  options.max_size = 700'000;
  const std::vector<bool> many(40, false);
  const Bank full = at_once(many);
  BankBuilder builder(backbone, options);
  for (std::uint64_t i = 100; i < 102; ++i) builder.add_normal(image(i));
  const Bank small = reloaded(builder.finish());
  EXPECT_FALSE(small.features.thinned);
  const Bank both = joined(backbone, full, small);
  EXPECT_EQ(both.normal_count(), 42);
  EXPECT_EQ(both.normal.back().checksum, checksum_of(image(101)));
  EXPECT_LE(bank_bytes(both, *backbone).size(), 700'000U);
  EXPECT_TRUE(message_of<ConfigError>([&] {
                joined(backbone, small, full);
              }).find("name that bank first") != std::string::npos);
}

TEST_F(BankSizeTest, WhatIsTooSmallIsSaid) {
  options.max_size = 100'000;
  const auto message = message_of<ConfigError>([&] { BankBuilder(backbone, options); });
  EXPECT_NE(message.find("--max-size 0.1 MB is too small"), std::string::npos) << message;
}

TEST_F(BankSizeTest, OnlyTheGivenPatchesOfAPictureAreKept) {
  options.method = Method::kAuto;
  BankBuilder builder(backbone, options);
  for (std::uint64_t i = 0; i < 4; ++i) builder.add_normal(image(i));
  at::Tensor kept = at::zeros({16}, at::kBool);
  kept[3] = kept[9] = true;
  builder.add_normal(image(9), {kept});
  const Bank bank = reloaded(builder.finish());
  EXPECT_TRUE(bank.features.thinned);
  EXPECT_EQ(bank.features.normal_rows, (std::vector<std::int64_t>{16, 16, 16, 16, 2}));
  EXPECT_EQ(bank.features.normal_moments[4].count, 16);
  const PictureEncoder encoder(backbone, options.encoding);
  const at::Tensor all = encoder.encode(encoder.pixels(image(9).rgb).unsqueeze(0))[0];
  EXPECT_TRUE(bank.features.normal_picture(4).equal(all.index({kept})));
}

TEST_F(BankSizeTest, PartsOfAPictureAndAFirstDefectComeTogether) {
  for (const auto method : {Method::kAuto, Method::kBothNn}) {
    options.method = method;
    at::Tensor kept = at::zeros({16}, at::kBool);
    kept[3] = true;
    for (const std::int64_t batch_size : {1, 16}) {
      BankBuilder builder(backbone, options, {}, batch_size);
      for (std::uint64_t i = 0; i < 3; ++i) builder.add_normal(image(i));
      builder.add_normal(image(9), {kept});
      builder.add_abnormal(image(20, true), defect_mask());
      const Bank bank = reloaded(builder.finish());
      EXPECT_EQ(bank.features.normal_rows, (std::vector<std::int64_t>{16, 16, 16, 1}));
      EXPECT_EQ(bank.features.abnormal_count(), 1);
      EXPECT_TRUE(bank.probe_scores.defined());
    }
  }
}

TEST_F(BankSizeTest, ManyThinnedPicturesAreMergedToo) {
  options.coreset = 0.1;  // two rows a picture, which never fill it
  options.max_size = 700'000;
  const Bank bank = grown(std::vector<bool>(40, false));
  EXPECT_GT(bank.features.merged, 20);
  EXPECT_EQ(bank.normal_count(), 40);
}

TEST_F(BankSizeTest, SeveralPicturesAddedToAFullBankGiveThatOfAllAtOnce) {
  options.max_size = 700'000;
  BankBuilder first(backbone, options);
  for (std::size_t i = 0; i < 30; ++i) add(first, i, false);
  BankBuilder second(backbone, reloaded(first.finish()));
  for (std::size_t i = 30; i < 60; ++i) add(second, i, false);
  expect_equal(reloaded(second.finish()), at_once(std::vector<bool>(60, false)));
}

}  // namespace
}  // namespace nagl
