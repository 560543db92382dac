#include <cmath>

#include "nagl/core/error.h"
#include "nagl/detection/calibrator.h"
#include "parts.h"

namespace nagl {
namespace {

using testing::message_of;
using testing::part;

TEST(Threshold, CountsWhereCountingCanTell) {
  bool extrapolated = true;
  GoodScores good{{}, 19};
  for (int i = 19; i > 0; --i) good.values.push_back(i / 100.0);
  // The 19th of 20 places: one in twenty further pictures lies above the largest of nineteen.
  EXPECT_DOUBLE_EQ(false_alarm_threshold(good, 0.05, {}, 1, extrapolated), 0.19);
  EXPECT_FALSE(extrapolated);
  EXPECT_DOUBLE_EQ(false_alarm_threshold(good, 0.1, {}, 1, extrapolated), 0.18);
  false_alarm_threshold(good, 0.04, {}, 1, extrapolated);
  EXPECT_TRUE(extrapolated);
}

TEST(Threshold, ExtrapolatesWithStudentsBound) {
  // Mean 0.3, deviation 0.01; Student's 99 % quantile with 2 degrees of freedom is 6.9646.
  bool extrapolated = false;
  EXPECT_NEAR(false_alarm_threshold({{0.29, 0.3, 0.31}, 3}, 0.01, {}, 1, extrapolated),
              0.3 + 6.9646 * 0.01 * std::sqrt(4.0 / 3), 1e-5);
  EXPECT_TRUE(extrapolated);
  // 95 %: 2.9200. With 7 degrees of freedom, 99 %: 2.9980.
  EXPECT_NEAR(false_alarm_threshold({{0.29, 0.3, 0.31}, 3}, 0.05, {}, 1, extrapolated),
              0.3 + 2.92 * 0.01 * std::sqrt(4.0 / 3), 1e-5);
  const GoodScores eight{{0.1, 0.1, 0.1, 0.1, 0.3, 0.3, 0.3, 0.3}, 8};
  EXPECT_NEAR(false_alarm_threshold(eight, 0.01, {}, 1, extrapolated),
              0.2 + 2.998 * 0.1 * std::sqrt(8.0 / 7) * std::sqrt(9.0 / 8), 1e-4);
  // Views of a picture add to the spread, not to the number of pictures.
  const GoodScores views{{0.29, 0.29, 0.3, 0.3, 0.31, 0.31}, 3};
  EXPECT_NEAR(false_alarm_threshold(views, 0.01, {}, 1, extrapolated),
              0.3 + 6.9646 * 0.01 * std::sqrt(4.0 / 5) * std::sqrt(4.0 / 3), 1e-5);
  EXPECT_DOUBLE_EQ(false_alarm_threshold({{0.3}, 1}, 0.01, {}, 1, extrapolated), 0.3);
  EXPECT_DOUBLE_EQ(false_alarm_threshold({{0.1, 0.5, 0.9}, 3}, 0.01, {}, 1, extrapolated),
                   1);  // no more
  EXPECT_GT(false_alarm_threshold({{0.1, 0.5, 0.9}, 3}, 0.01, {},
                                  highest_score(ScoreRange::kUnbounded), extrapolated),
            1);
}

TEST(Threshold, IsModeratedByWhatIsUsual) {
  bool extrapolated = false;
  // Own variance 0.0001 with 2 degrees, usual 0.0004 with 4: (2 x 1 + 4 x 4) / 6 = 3 ten
  // thousandths. Student's 99 % quantile with 6 degrees is 3.1427.
  const GoodScores good{{0.29, 0.3, 0.31}, 3, 0.02};
  const double reach = 3.1427 * std::sqrt(0.0003) * std::sqrt(4.0 / 3);
  EXPECT_NEAR(false_alarm_threshold(good, 0.01, {}, 1, extrapolated), 0.3 + reach, 1e-5);
  // Three of the same score differ as others do, and a lone one too: t(4) is 3.7469.
  EXPECT_GT(false_alarm_threshold({{0.3, 0.3, 0.3}, 3, 0.02}, 0.01, {}, 1, extrapolated), 0.35);
  EXPECT_NEAR(false_alarm_threshold({{0.3}, 1, 0.02}, 0.01, {}, 1, extrapolated),
              0.3 + 3.7469 * 0.02 * std::sqrt(2.0), 1e-5);
  // A defect that is known to lie far above moves it up, one that lies near moves it down.
  EXPECT_NEAR(false_alarm_threshold(good, 0.01, 0.8, 1, extrapolated), 0.3 + 2 * reach / 3 + 0.1,
              1e-5);
  EXPECT_NEAR(false_alarm_threshold(good, 0.01, 0.2, 1, extrapolated), 0.3 + 2 * reach / 3, 1e-5);
  EXPECT_NEAR(balanced_threshold(good, 0.8), 0.4 - 0.25 * std::sqrt(0.0003), 1e-9);
}

TEST(Threshold, PatchesTellADeviationWhateverTheHottestAre) {
  std::vector<float> scores;
  for (int i = 0; i <= 100; ++i) scores.push_back(static_cast<float>(i) / 100);
  EXPECT_NEAR(patch_deviation(scores), 0.45 / 1.645, 1e-6);
  for (std::size_t i = 96; i <= 100; ++i) scores[i] = 50;
  EXPECT_NEAR(patch_deviation(scores), 0.45 / 1.645, 1e-6);
  EXPECT_DOUBLE_EQ(usual_deviation(0.1, false), 0.16);
  EXPECT_DOUBLE_EQ(usual_deviation(0.1, true), 2.1);
}

TEST(Threshold, IsExceededAsOftenAsAskedForWhereScoresAreNormal) {
  // Many calibrations with eight pictures each, and one further picture each.
  cv::RNG random(11);
  int above = 0;
  constexpr int kTrials = 4000;
  for (int trial = 0; trial < kTrials; ++trial) {
    GoodScores good{{}, 8};
    for (int i = 0; i < 8; ++i) good.values.push_back(0.2 + random.gaussian(0.01));
    bool extrapolated = false;
    above += 0.2 + random.gaussian(0.01) > false_alarm_threshold(good, 0.05, {}, 1, extrapolated);
  }
  EXPECT_NEAR(above / static_cast<double>(kTrials), 0.05, 0.012);
}

TEST(Threshold, BestF1LiesInTheMiddleOfTheGap) {
  EXPECT_DOUBLE_EQ(best_f1_threshold({0.1, 0.2}, {0.4, 0.6}), 0.3);
  EXPECT_DOUBLE_EQ(best_f1_threshold({0.1, 0.5}, {0.4, 0.6, 0.7}), 0.25);  // F1 6/7 against 4/5
  // Overlapping beyond repair: everything is called anomalous.
  EXPECT_LT(best_f1_threshold({0.5}, {0.1, 0.2}), 0.1);
}

class CalibrationTest : public testing::PartsTest {};

TEST_F(CalibrationTest, ScoresReferencesWithThemselvesLeftOut) {
  references.abnormal.clear();
  Bank bank = make_bank(backbone, references, options);
  const Calibration found = calibrate(backbone, bank, {}, {}, 2);
  EXPECT_EQ(found.good_pictures, 3);
  EXPECT_EQ(found.left_out, 3);
  EXPECT_EQ(found.good_scores, 15);  // with four views each
  EXPECT_TRUE(found.extrapolated);
  EXPECT_FALSE(found.alone);
  EXPECT_EQ(found.false_alarms, 0);

  // The same by hand: each reference against the two others.
  std::vector<double> scores;
  for (std::size_t i = 0; i < 3; ++i) {
    BankPictures others = references;
    others.normal.erase(others.normal.begin() + static_cast<std::ptrdiff_t>(i));
    const Detector detector(backbone, make_bank(backbone, others, options));
    scores.push_back(detector.detect(read_image(references.normal[i])).image_score);
  }
  EXPECT_GT(found.image_threshold, *std::max_element(scores.begin(), scores.end()));

  bank.calibration = found;
  const Detector detector(backbone, bank);
  const Detection good = detector.detect(query(40, false)), bad = detector.detect(query(41, true));
  EXPECT_EQ(good.verdict, Verdict::kNormal);
  EXPECT_EQ(bad.verdict, Verdict::kAnomalous);
  ASSERT_FALSE(bad.regions.empty());
  EXPECT_FALSE((bad.regions[0].box & cv::Rect(100, 30, 30, 30)).empty());
  EXPECT_GT(bad.regions[0].mean_score, found.map_threshold);
  EXPECT_LE(bad.regions[0].mean_score, bad.regions[0].peak_score);
}

TEST_F(CalibrationTest, WhatABankHoldsOfItsReferencesIsEnough) {
  for (std::uint64_t i = 3; i < 5; ++i) {
    references.normal.push_back(folder / (std::to_string(i) + ".png"));
    write_png(references.normal.back(), part(i, false));
  }
  cv::Mat roi = cv::Mat::zeros(120, 160, CV_8U);
  roi.colRange(64, 160).setTo(255);
  for (const bool limited : {false, true}) {
    for (const std::int64_t tile : {0, 80}) {
      if (limited && tile > 0) continue;
      SCOPED_TRACE(::testing::Message() << limited << " " << tile);
      options.method = Method::kAuto;
      options.turns = 4;
      options.encoding.tiling.tile = tile;
      references.roi = limited ? roi : cv::Mat();
      const Bank bank = make_bank(backbone, references, options);
      const Calibration by_files = calibrate(backbone, bank, {references.normal, {}}, {}, 1);
      Bank moved = bank;
      for (auto& picture : moved.normal) picture.path = (folder / "gone.png").string();
      const Calibration held = calibrate(backbone, moved, {}, {}, 1);
      EXPECT_EQ(held.left_out, 5);
      EXPECT_NEAR(held.image_threshold, by_files.image_threshold, 1e-4);
      EXPECT_NEAR(held.map_threshold, by_files.map_threshold, 1e-4);
      // The enrolled defect counts: it lies far above good pictures.
      ASSERT_TRUE(held.defect_score && held.good_score && held.uncertain_threshold);
      EXPECT_GT(*held.defect_score, held.image_threshold);
      EXPECT_LT(*held.good_score, *held.uncertain_threshold);
      EXPECT_LE(*held.uncertain_threshold, held.image_threshold);
      // Pictures that were learnt are no sample of good ones; those that were confirmed are.
      moved.decisions = {{"", moved.normal[4].checksum, false, false}};
      EXPECT_EQ(calibrate(backbone, moved, {}, {}, 1).good_pictures, 5);
      moved.decisions[0].learnt = true;
      EXPECT_EQ(calibrate(backbone, moved, {}, {}, 1).good_pictures, 4);
      // One defect is enough to tell it from good pictures.
      const Calibration best = calibrate(backbone, moved, {}, {ThresholdRule::kBestF1, 0.01}, 1);
      EXPECT_GT(best.image_threshold, *held.good_score);
      EXPECT_LT(best.image_threshold, *held.defect_score);
    }
  }
}

TEST_F(CalibrationTest, FurtherPicturesAndDefectsCount) {
  options.method = Method::kBothNn;
  const Bank bank = make_bank(backbone, references, options);
  CalibrationPictures pictures;
  for (std::uint64_t i = 0; i < 20; ++i) {
    pictures.normal.push_back(folder / ("more" + std::to_string(i) + ".png"));
    write_png(pictures.normal.back(), part(50 + i, false));
  }
  write_png(folder / "bad2.png", part(8, true));
  pictures.abnormal = {folder / "bad.png", folder / "bad2.png"};
  CalibrationFindings findings;
  // The same shots saved again are no further evidence.
  const std::size_t distinct = pictures.normal.size();
  for (std::size_t i = 0; i < 3; ++i) {
    pictures.normal.push_back(folder / ("again" + std::to_string(i) + ".png"));
    cv::Mat again = read_image(pictures.normal[i]).rgb;
    again.at<cv::Vec3b>(0, 0) = {1, 2, 3};
    write_png(pictures.normal.back(), again);
  }
  pictures.normal.push_back(pictures.normal[0]);
  const Calibration found =
      calibrate(backbone, bank, pictures, {ThresholdRule::kFalseAlarmRate, 0.1}, 4, {}, &findings);
  EXPECT_EQ(distinct, 20U);
  EXPECT_EQ(found.good_pictures, 20);
  ASSERT_EQ(findings.copies.size(), 4U);
  EXPECT_EQ(findings.copies[1].second, pictures.normal[1]);
  EXPECT_EQ(found.good_scores, 20);  // enough pictures: no views
  EXPECT_EQ(found.left_out, 0);
  EXPECT_FALSE(found.extrapolated);
  EXPECT_LE(found.false_alarms, 2);
  // The bank's only defect cannot be scored by a bank without it.
  EXPECT_EQ(findings.left_aside, (std::vector<std::filesystem::path>{folder / "bad.png"}));
  EXPECT_EQ(found.defects, 1);
  EXPECT_EQ(found.misses, 0);
  const Calibration best = calibrate(backbone, bank, pictures, {ThresholdRule::kBestF1, 0.01}, 4);
  EXPECT_GT(best.image_threshold, found.image_threshold);
  EXPECT_EQ(best.false_alarms + best.misses, 0);
}

TEST_F(CalibrationTest, ThresholdsAreOfRawScores) {
  options.method = Method::kDiscriminant;
  Bank bank = make_bank(backbone, references, options);
  CalibrationPictures pictures;
  write_png(folder / "bad2.png", part(8, true));
  pictures.abnormal = {folder / "bad2.png"};
  bank.calibration = calibrate(backbone, bank, pictures, {ThresholdRule::kBestF1, 0.01}, 2);
  EXPECT_EQ(bank.calibration->false_alarms + bank.calibration->misses, 0);
  EXPECT_GT(bank.calibration->image_threshold, 1);  // a raw score
  const Detector detector(backbone, bank);
  EXPECT_EQ(detector.detect(query(41, true)).verdict, Verdict::kAnomalous);
  EXPECT_EQ(detector.detect(query(40, false)).verdict, Verdict::kNormal);
}

TEST_F(CalibrationTest, ALoneReferenceCountsOnlyWhereThereAreNoOtherPictures) {
  references.abnormal.clear();
  CalibrationPictures pictures{references.normal, {}};
  references.normal.resize(1);
  const Bank bank = make_bank(backbone, references, options);
  const Calibration found = calibrate(backbone, bank, pictures, {}, 1);
  EXPECT_EQ(found.good_pictures, 2);
  EXPECT_EQ(found.good_scores, 10);
  EXPECT_FALSE(found.alone);
}

TEST_F(CalibrationTest, SaysHowFarItCanBeTrusted) {
  references.abnormal.clear();
  references.normal.resize(1);
  const Bank bank = make_bank(backbone, references, options);
  const Calibration alone = calibrate(backbone, bank, {}, {}, 1);
  EXPECT_TRUE(alone.alone);
  EXPECT_EQ(alone.good_scores, 5);  // four views and the mirrored picture
  const auto sentences = trust_in(alone);
  EXPECT_NE(sentences.front().find("only reference"), std::string::npos);

  Calibration eight;
  eight.good_pictures = 8;
  eight.extrapolated = true;
  std::string all;
  for (const auto& sentence : trust_in(eight)) all += sentence + "\n";
  EXPECT_NE(all.find("that takes 99"), std::string::npos) << all;
  EXPECT_NE(all.find("fewer than 31 %"), std::string::npos) << all;  // 1 - 0.05^(1/8)
  EXPECT_NE(all.find("No defect"), std::string::npos) << all;
}

TEST_F(CalibrationTest, WhatCannotBeDoneIsSaid) {
  references.abnormal.clear();
  Bank bank = make_bank(backbone, references, options);
  EXPECT_THROW(calibrate(backbone, bank, {}, {ThresholdRule::kBestF1, 0.01}, 1), ConfigError);
  EXPECT_THROW(calibrate(backbone, bank, {}, {ThresholdRule::kFalseAlarmRate, 0}, 1), ConfigError);
  std::filesystem::remove(references.normal[1]);
  const auto message = message_of<DataError>([&] { calibrate(backbone, bank, {}, {}, 1); });
  EXPECT_NE(message.find("--normal"), std::string::npos) << message;
  bank.calibration = Calibration();
  BankBuilder builder(backbone, bank);
  builder.add_normal({part(60, false), {}, {}});
  EXPECT_FALSE(builder.finish().calibration);  // void: the bank is another one
}

}  // namespace
}  // namespace nagl
