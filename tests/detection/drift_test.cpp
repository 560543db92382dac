#include "nagl/detection/drift.h"

#include <opencv2/core.hpp>
#include <opencv2/imgproc.hpp>

#include "support.h"

namespace nagl {
namespace {

cv::Mat pattern(std::uint64_t seed) {
  cv::Mat picture(64, 64, CV_8UC3);
  cv::RNG(seed).fill(picture, cv::RNG::NORMAL, cv::Scalar::all(120), cv::Scalar::all(20));
  cv::rectangle(picture, cv::Rect(20, 24, 16, 10), cv::Scalar::all(220), -1);
  return picture;
}

Bank calibrated_bank() {
  Bank bank;
  bank.options.method = Method::kNormalNn;
  bank.features.normal = at::zeros({0, 3});
  for (std::uint64_t i = 0; i < 3; ++i) bank.normal.push_back(enrolled({pattern(i), {}, {}}));
  bank.calibration.emplace();
  bank.calibration->good_least = 0.1;
  bank.calibration->good_most = 0.2;
  return bank;
}

std::optional<std::string> told_by(DriftWatch& watch, std::size_t pictures, double score,
                                   const std::function<cv::Mat(std::uint64_t)>& picture) {
  std::optional<std::string> told;
  for (std::size_t i = 0; i < pictures; ++i) {
    const std::string path = "in/" + std::to_string(i) + ".png";
    if (const auto now = watch.see({picture(100 + i), path, {}}, score + 1e-4 * i)) told = now;
  }
  return told;
}

TEST(Drift, TellsOnceThatTheMedianLeftWhatCalibrationSaw) {
  DriftWatch watch(calibrated_bank());
  EXPECT_FALSE(told_by(watch, 200, 0.15, pattern));
  EXPECT_FALSE(told_by(watch, DriftWatch::kWindow / 2 - 1, 0.3, pattern));  // most are as before
  const auto told = told_by(watch, 5, 0.3, pattern);
  ASSERT_TRUE(told);
  EXPECT_NE(told->find("above 0.3"), std::string::npos) << *told;
  EXPECT_NE(told->find("0.1000 to 0.2000"), std::string::npos) << *told;
  EXPECT_NE(told->find("'in/"), std::string::npos) << *told;
  EXPECT_FALSE(told_by(watch, 100, 0.3, pattern));
}

TEST(Drift, SaysWhatChangedAsFarAsItCanBeSeen) {
  const auto told = [](const std::function<cv::Mat(std::uint64_t)>& picture) {
    DriftWatch watch(calibrated_bank());
    return told_by(watch, DriftWatch::kWindow, 0.4, picture).value_or("nothing");
  };
  EXPECT_NE(told([](std::uint64_t i) -> cv::Mat {
              return pattern(i) - cv::Scalar::all(40);
            }).find("darker"),
            std::string::npos);
  EXPECT_NE(told([](std::uint64_t i) {
              cv::Mat blurred;
              cv::GaussianBlur(pattern(i), blurred, {}, 3);
              return blurred;
            }).find("less sharp"),
            std::string::npos);
  const std::string moved = told([](std::uint64_t i) {
    cv::Mat shifted;
    const cv::Mat by = (cv::Mat_<double>(2, 3) << 1, 0, 8, 0, 1, 0);
    cv::warpAffine(pattern(i), shifted, by, {64, 64}, cv::INTER_LINEAR, cv::BORDER_REFLECT);
    return shifted;
  });
  EXPECT_NE(moved.find("moved by 1"), std::string::npos) << moved;  // 8 of 64: about 12 %
  EXPECT_EQ(told(pattern).find("; they"), std::string::npos);
}

TEST(Drift, SaysNothingWithoutACalibration) {
  Bank bank = calibrated_bank();
  bank.calibration.reset();
  DriftWatch watch(bank);
  EXPECT_FALSE(told_by(watch, 100, 0.9, pattern));
}

}  // namespace
}  // namespace nagl
