#include "nagl/detection/detector.h"

#include <ATen/Parallel.h>

#include <thread>

#include "nagl/core/error.h"
#include "nagl/detection/reference_scale.h"
#include "nagl/image/anomaly_map.h"
#include "parts.h"

namespace nagl {
namespace {

using testing::max_difference;
using testing::message_of;

using testing::part;
class DetectorTest : public testing::PartsTest {};

TEST_F(DetectorTest, FindsTheDefectWithEveryMethod) {
  for (const auto method : {Method::kNormalNn, Method::kAbnormalNn, Method::kBothNn,
                            Method::kDiscriminant, Method::kAuto}) {
    SCOPED_TRACE(to_string(method));
    options.method = method;
    const auto own = detector();
    const auto good = own.detect(query(20, false)), bad = own.detect(query(21, true));
    EXPECT_GT(bad.image_score, good.image_score);
    EXPECT_EQ(bad.map.size(), cv::Size(160, 120));
    EXPECT_EQ(bad.patch_scores.sizes(), at::IntArrayRef({8, 10}));
    EXPECT_GE(bad.patch_scores.min().item<float>(), 0);
    EXPECT_LE(bad.patch_scores.max().item<float>(), 1);
    cv::Point peak;
    cv::minMaxLoc(bad.map, nullptr, nullptr, nullptr, &peak);
    EXPECT_TRUE(cv::Rect(90, 20, 50, 50).contains(peak)) << peak;
  }
}

TEST_F(DetectorTest, ABatchGivesWhatSinglePicturesGive) {
  const auto own = detector();
  const std::vector<Query> queries = {query(20, false), query(21, true), query(22, true)};
  const auto together = own.detect(queries);
  ASSERT_EQ(together.size(), 3U);
  for (std::size_t i = 0; i < 3; ++i) {
    const auto alone = own.detect(queries[i]);
    EXPECT_NEAR(together[i].image_score, alone.image_score, 1e-5);
    EXPECT_LT(max_difference(together[i].patch_scores, alone.patch_scores), 1e-4);
  }
  EXPECT_TRUE(own.detect(std::span<const Query>()).empty());
}

TEST_F(DetectorTest, OutsideTheRegionOfInterestNothingCounts) {
  const auto own = detector();
  auto limited = query(21, true);
  limited.roi = cv::Mat::zeros(120, 160, CV_8U);
  limited.roi.colRange(0, 70).setTo(255);  // the defect is right of it
  const auto whole = own.detect(query(21, true)), part_of_it = own.detect(limited);
  EXPECT_LT(part_of_it.image_score, whole.image_score);
  EXPECT_EQ(cv::countNonZero(part_of_it.map.colRange(70, 160)), 0);
  EXPECT_EQ(part_of_it.patch_scores.slice(1, 5).abs().max().item<float>(), 0);
  EXPECT_LT(
      max_difference(part_of_it.patch_scores.slice(1, 0, 4), whole.patch_scores.slice(1, 0, 4)),
      1e-6);
  EXPECT_NEAR(part_of_it.image_score, part_of_it.patch_scores.max().item<double>(), 1e-6);
  limited.roi.setTo(0);
  limited.image.path = "part.png";
  EXPECT_NE(message_of<DataError>([&] { own.detect(limited); }).find("region of interest"),
            std::string::npos);
}

TEST_F(DetectorTest, ScoresWithoutBoundsAreShownInTheUnitIntervalAndComparedRaw) {
  options.method = Method::kAuto;
  Bank bank = make_bank(backbone, references, options, {}, 2);
  EXPECT_EQ(bank.scored_by(), Method::kDiscriminant);
  bank.calibration.emplace();
  bank.calibration->image_threshold = bank.calibration->map_threshold = 8;
  const Detector own(backbone, bank);
  auto looked = query(21, true);
  looked.roi = cv::Mat::zeros(120, 160, CV_8U);
  looked.roi.colRange(40, 160).setTo(255);
  const Detection seen = own.detect(looked);
  const PictureScores& raw = seen.scores;
  EXPECT_GT(raw.raw_image_score(), 8);
  EXPECT_EQ(seen.verdict, Verdict::kAnomalous);
  EXPECT_DOUBLE_EQ(seen.image_score, shown_score(raw.raw_image_score(), ScoreRange::kUnbounded));
  EXPECT_EQ(cv::countNonZero(seen.map.colRange(0, 40)), 0);
  EXPECT_TRUE(cv::checkRange(seen.map, true, nullptr, 0, 1));
  // The map is smoothed before it is brought into [0, 1].
  const cv::Mat raw_map = raw.raw_map();
  EXPECT_NEAR(seen.map.at<float>(45, 115),
              shown_score(raw_map.at<float>(45, 115), ScoreRange::kUnbounded), 1e-6);
  EXPECT_NEAR(seen.map.at<float>(110, 60),
              shown_score(raw_map.at<float>(110, 60), ScoreRange::kUnbounded), 1e-6);
  const double lowest = raw.raw_patch_scores().slice(1, 2).min().item<double>();
  EXPECT_NEAR(raw_map.at<float>(60, 10), lowest, 1e-5);  // outside the region of interest
  ASSERT_FALSE(seen.regions.empty());
  double peak = 0;
  cv::minMaxLoc(raw_map, nullptr, &peak);
  EXPECT_NEAR(seen.regions[0].peak_score, shown_score(peak, ScoreRange::kUnbounded), 1e-6);
  const double usual = bank.probe_scores.median().item<double>();
  EXPECT_EQ(seen.regions[0].area, cv::countNonZero(raw_map > usual + 0.8 * (8 - usual)));
  EXPECT_EQ(seen.region_mask.size(), seen.map.size());
  EXPECT_EQ(cv::countNonZero(seen.region_mask), seen.regions[0].area);
  EXPECT_DOUBLE_EQ(bank.shown_calibration()->image_threshold, 0.5 + 8 / 36.0);

  // Thresholds of somebody's own come first, and a picture between two of them is uncertain.
  const double score = raw.raw_image_score();
  EXPECT_EQ(Detector(backbone, bank, 2, Thresholds{score, score - 1, 8}).detect(looked).verdict,
            Verdict::kUncertain);
  EXPECT_EQ(Detector(backbone, bank, 2, Thresholds{score, score, 8}).detect(looked).verdict,
            Verdict::kNormal);
  const Detection small =
      Detector(backbone, bank, 2, Thresholds{8, {}, 8, seen.regions[0].area + 1}).detect(looked);
  EXPECT_TRUE(small.regions.empty());
  EXPECT_EQ(cv::countNonZero(small.region_mask), 0);

  references.abnormal.clear();
  const Bank good = make_bank(backbone, references, options, {}, 2);
  EXPECT_EQ(good.scored_by(), Method::kNormalNn);
  EXPECT_EQ(good.score_range(), ScoreRange::kUnit);
}

TEST_F(DetectorTest, TheImageScoreIsTheMeanOfTheTopShare) {
  options.top_share = 0.05;  // 4 of 80 patches
  const Detection seen = detector().detect(query(21, true));
  EXPECT_NEAR(seen.image_score,
              std::get<0>(seen.patch_scores.flatten().topk(4)).mean().item<double>(), 1e-6);
  options.top_share = 0;
  EXPECT_THROW(detector(), ConfigError);
}

TEST_F(DetectorTest, PicturesOfAnyShapeAreScored) {
  const auto own = detector();
  for (const cv::Size size : {cv::Size(1, 1), cv::Size(20000, 100)}) {
    const auto seen = own.detect(Image{cv::Mat(size, CV_8UC3, cv::Scalar::all(90)), {}, {}});
    EXPECT_EQ(seen.map.size(), size);
    EXPECT_GE(seen.image_score, 0);
    EXPECT_LE(seen.image_score, 1);
    EXPECT_TRUE(cv::checkRange(seen.map, true, nullptr, 0, 1.0001));
  }
}

TEST_F(DetectorTest, BrokenReferencesAreNamed) {
  references.abnormal[0].masks = {folder / "empty_mask.png"};
  EXPECT_NE(message_of<DataError>([&] { detector(); }).find("empty_mask.png"), std::string::npos);
  references.abnormal.clear();
  options.method = Method::kBothNn;
  EXPECT_THROW(detector(), ConfigError);
  options.encoding.image_size = {100, 140};
  EXPECT_THROW(detector(), ConfigError);
  options.encoding.image_size = {112, 140};
  references.normal.push_back(folder / "absent.png");
  EXPECT_NE(message_of<DataError>([&] { detector(); }).find("absent.png"), std::string::npos);
}

TEST_F(DetectorTest, TheScaleComesFromGoodReferences) {
  const auto own = detector();
  const auto scale = reference_scale(own);
  std::vector<double> peaks;
  for (std::int64_t i = 0; i < 3; ++i) {
    const auto left_out = own.references()
                              .score_left_out(own.bank().features.normal_picture(i).unsqueeze(0), i,
                                              Method::kNormalNn)
                              .reshape({8, 10});
    double peak = 0;
    cv::minMaxLoc(make_anomaly_map(left_out, {140, 112}), nullptr, &peak);
    peaks.push_back(peak);
  }
  std::sort(peaks.begin(), peaks.end());
  EXPECT_NEAR(scale.good, peaks[1], 1e-6);
  EXPECT_NEAR(scale.high, scale.low + 3 * (scale.good - scale.low), 1e-6);
  EXPECT_LT(scale.low, peaks[0]);
  for (const auto method : {Method::kAbnormalNn, Method::kBothNn}) {
    options.method = method;
    const auto other = reference_scale(detector());
    EXPECT_GT(other.good, other.low);
    EXPECT_GT(other.high, other.good);
    EXPECT_LE(other.high, 1);
  }
  options.method = Method::kNormalNn;
  cv::Mat roi = cv::Mat::zeros(120, 160, CV_8U);
  roi.col(80).setTo(255);  // thinner than a pixel at the network's size
  EXPECT_EQ(own.roi_patches(roi).sum().item<std::int64_t>(), 8);  // one column of patches
  const auto limited = reference_scale(own, roi);
  EXPECT_NE(limited.good, scale.good);
  EXPECT_GT(limited.low, 0);
  EXPECT_LE(limited.good, scale.high);
  EXPECT_GT(limited.good, 0);
  EXPECT_GT(limited.high, limited.low);
  references.normal.resize(1);
  const auto lone = detector();
  const auto mirrored = reference_scale(lone);
  EXPECT_GT(mirrored.high, mirrored.low);
}

TEST_F(DetectorTest, TilesFindASmallDefectWhereItIs) {
  // A defect of 6 pixels in a picture of 640 x 480.
  const auto large = [](std::uint64_t seed, bool defect) {
    cv::Mat picture = part(seed, false, {640, 480});
    if (defect) cv::rectangle(picture, cv::Rect(500, 301, 6, 6), cv::Scalar(230, 220, 60), -1);
    return Image{picture, {}, {}};
  };
  BankOptions own;
  own.encoding.image_size = {112, 112};
  own.encoding.tiling.tile = 112;
  BankBuilder builder(backbone, own);
  for (std::uint64_t i = 0; i < 2; ++i) builder.add_normal(large(i, false));
  const Detector tiled(backbone, builder.finish(), 4);
  const Detection good = tiled.detect(large(5, false)), bad = tiled.detect(large(6, true));
  EXPECT_GT(bad.image_score, 1.2 * good.image_score);
  cv::Point peak;
  cv::minMaxLoc(bad.map, nullptr, nullptr, nullptr, &peak);
  EXPECT_LE(cv::norm(peak - cv::Point(503, 304)), 14) << peak;
  EXPECT_EQ(bad.map.size(), cv::Size(640, 480));
  const auto tiles = cut_into_tiles({640, 480}, tiled.options().encoding.tiling).count();
  EXPECT_EQ(bad.patch_scores.sizes(), at::IntArrayRef({static_cast<std::int64_t>(tiles), 8, 8}));
  // The image score is the largest of the tiles'.
  double largest = 0;
  for (std::size_t i = 0; i < tiles; ++i) {
    const auto tile = bad.patch_scores[static_cast<std::int64_t>(i)].flatten();
    largest = std::max(largest, image_score(tile));
  }
  EXPECT_NEAR(bad.image_score, largest, 1e-9);
}

TEST_F(DetectorTest, TilesOutsideTheRegionOfInterestAreNotScored) {
  options.encoding.image_size = {56, 56};
  options.encoding.tiling.tile = 56;
  references.abnormal.clear();
  const auto own = detector();
  auto limited = query(21, true);
  limited.roi = cv::Mat::zeros(120, 160, CV_8U);
  limited.roi.colRange(0, 50).setTo(255);
  const auto seen = own.detect(limited);
  EXPECT_EQ(cv::countNonZero(seen.map.colRange(50, 160)), 0);
  EXPECT_EQ(cv::countNonZero(seen.map.colRange(0, 50)), 120 * 50);
  EXPECT_LT(seen.image_score, own.detect(query(21, true)).image_score);
  limited.roi.setTo(0);
  EXPECT_THROW(own.detect(limited), DataError);
}

TEST_F(DetectorTest, SeveralThreadsGiveWhatOneGives) {
  options.method = Method::kNagl;
  options.encoding.image_size = {56, 70};
  const Detector own(backbone, make_bank(backbone, references, options, untrained_head(), 2));
  std::vector<Detection> alone;
  for (std::uint64_t i = 0; i < 4; ++i) alone.push_back(own.detect(query(30 + i, i % 2 == 0)));
  std::vector<std::thread> threads;
  std::vector<double> worst(4, 1);
  for (std::size_t t = 0; t < 4; ++t) {
    threads.emplace_back([&, t] {
      worst[t] = 0;
      for (std::uint64_t round = 0; round < 4; ++round) {
        const std::size_t i = (t + round) % 4;
        const Detection seen = own.detect(query(30 + i, i % 2 == 0));
        worst[t] = std::max({worst[t], max_difference(seen.patch_scores, alone[i].patch_scores),
                             cv::norm(seen.map, alone[i].map, cv::NORM_INF),
                             std::abs(seen.image_score - alone[i].image_score)});
      }
    });
  }
  for (auto& thread : threads) thread.join();
  for (const double difference : worst) EXPECT_LT(difference, 1e-6);
}

}  // namespace
}  // namespace nagl
