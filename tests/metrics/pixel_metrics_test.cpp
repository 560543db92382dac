#include "nagl/metrics/pixel_metrics.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "nagl/core/random.h"
#include "nagl/metrics/ranking_metrics.h"

namespace nagl {
namespace {

using Mask = std::vector<std::uint8_t>;

TEST(Regions, TouchAtCorners) {
  const Mask mask = {1, 0, 0, 1,  //
                     0, 1, 0, 0,  //
                     0, 0, 0, 1,  //
                     0, 0, 1, 1};
  const Regions regions = find_regions(mask, 4, 4);
  EXPECT_EQ(regions.sizes, (std::vector<std::int64_t>{0, 2, 1, 3}));
  EXPECT_EQ(regions.of_pixel,
            (std::vector<std::int32_t>{1, 0, 0, 2, 0, 1, 0, 0, 0, 0, 0, 3, 0, 0, 3, 3}));
}

TEST(PixelMetrics, ByHand) {
  // Two regions, of one and of two pixels; four normal pixels.
  const Mask mask = {1, 0, 0, 0, 0, 1, 1};
  const std::vector<float> map = {0.9F, 0.1F, 0.8F, 0.2F, 0.3F, 0.7F, 0.25F};
  PixelMetrics metrics;
  metrics.add(map, mask, 1, 7);
  // Of 12 pairs (anomalous, normal): 0.9 wins 4, 0.7 wins 3, 0.25 wins 2.
  EXPECT_NEAR(*metrics.auroc(), 9.0 / 12, 1e-12);
  // Descending: 0.9 overlap 1/2 at rate 0; 0.8 rate 1/4; 0.7 overlap 3/4; 0.3 rate 1/2; ...
  EXPECT_NEAR(*metrics.pro(0.25), 0.5, 1e-12);
  EXPECT_NEAR(*metrics.pro(0.5), (0.25 * 0.5 + 0.25 * 0.75) / 0.5, 1e-12);
  EXPECT_NEAR(*metrics.pro(0.3), (0.25 * 0.5 + 0.05 * 0.75) / 0.3, 1e-12);
  EXPECT_NEAR(*metrics.pro(1), 0.25 * 0.5 + 0.25 * 0.75 + 0.5 * 1, 1e-12);
}

TEST(PixelMetrics, F1AboveAThresholdByHand) {
  const Mask mask = {1, 0, 0, 0, 0, 1, 1};
  PixelMetrics metrics;
  EXPECT_FALSE(metrics.f1_above(0.5).has_value());
  metrics.add(std::vector<float>{0.9F, 0.1F, 0.8F, 0.2F, 0.3F, 0.7F, 0.25F}, mask, 1, 7);
  // Above 0.5: 0.9, 0.8, 0.7, of which two are right, of three.
  EXPECT_NEAR(*metrics.f1_above(0.5), 2 * 2.0 / (3 + 3), 1e-12);
  EXPECT_NEAR(*metrics.f1_above(0.85), 2 * 1.0 / (1 + 3), 1e-12);
  EXPECT_EQ(*metrics.f1_above(0.95), 0);
}

TEST(PixelMetrics, AConstantMapKnowsNothing) {
  PixelMetrics metrics;
  metrics.add(std::vector<float>(6, 0.5F), Mask{0, 1, 1, 0, 0, 0}, 2, 3);
  EXPECT_NEAR(*metrics.auroc(), 0.5, 1e-12);
  EXPECT_NEAR(*metrics.pro(0.3), 0.15, 1e-12);  // the diagonal up to 0.3
}

TEST(PixelMetrics, AreAbsentWithOneClass) {
  PixelMetrics metrics;
  EXPECT_FALSE(metrics.auroc().has_value());
  metrics.add(std::vector<float>{0.1F, 0.2F}, Mask{0, 0}, 1, 2);
  EXPECT_FALSE(metrics.auroc().has_value());
  EXPECT_FALSE(metrics.pro().has_value());
}

TEST(PixelMetrics, RefuseWhatHasNoOrder) {
  PixelMetrics metrics;
  EXPECT_THROW(metrics.add(std::vector<float>{0.1F}, Mask{0, 1}, 1, 2), std::invalid_argument);
  EXPECT_THROW(metrics.add(std::vector<float>{NAN, 0}, Mask{0, 1}, 1, 2), std::invalid_argument);
  EXPECT_THROW(metrics.pro(0), std::invalid_argument);
}

/// PRO by its definition: every distinct score is a threshold.
double exact_pro(const std::vector<std::vector<float>>& maps, const std::vector<Mask>& masks,
                 std::int64_t height, std::int64_t width, double limit) {
  std::vector<float> thresholds;
  for (const auto& map : maps) thresholds.insert(thresholds.end(), map.begin(), map.end());
  std::sort(thresholds.rbegin(), thresholds.rend());
  thresholds.erase(std::unique(thresholds.begin(), thresholds.end()), thresholds.end());
  double area = 0, last_rate = 0, last_overlap = 0;
  for (const float threshold : thresholds) {
    double normal = 0, false_positives = 0, overlap = 0, regions = 0;
    for (std::size_t m = 0; m < maps.size(); ++m) {
      const Regions found = find_regions(masks[m], height, width);
      std::vector<double> hits(found.sizes.size());
      for (std::size_t i = 0; i < maps[m].size(); ++i) {
        const bool above = maps[m][i] >= threshold;
        if (masks[m][i] > 0) hits[static_cast<std::size_t>(found.of_pixel[i])] += above;
        if (masks[m][i] == 0) ++normal, false_positives += above;
      }
      for (std::size_t r = 1; r < hits.size(); ++r) {
        overlap += hits[r] / static_cast<double>(found.sizes[r]);
        ++regions;
      }
    }
    const double rate = false_positives / normal;
    overlap /= regions;
    if (rate > limit) {
      const double at =
          last_overlap + (limit - last_rate) / (rate - last_rate) * (overlap - last_overlap);
      return (area + (limit - last_rate) * (last_overlap + at) / 2) / limit;
    }
    area += (rate - last_rate) * (last_overlap + overlap) / 2;
    last_rate = rate, last_overlap = overlap;
  }
  return area / limit;
}

TEST(PixelMetrics, AgreeWithTheirDefinitions) {
  Random random(3);
  constexpr std::int64_t kSide = 12;
  for (const double noise : {0.05, 1.0, 20.0}) {  // near perfect, usual, almost random
    std::vector<std::vector<float>> maps;
    std::vector<Mask> masks;
    PixelMetrics metrics;
    std::vector<double> scores;
    std::vector<std::uint8_t> labels;
    for (int m = 0; m < 5; ++m) {
      Mask mask;
      std::vector<float> map;
      for (std::int64_t i = 0; i < kSide * kSide; ++i) {
        mask.push_back(m > 0 && random.uniform() < 0.15);
        map.push_back(
            static_cast<float>(0.3 + 0.01 * (mask.back() + noise * (random.uniform() - 0.5))));
        scores.push_back(map.back());
        labels.push_back(mask.back());
      }
      metrics.add(map, mask, kSide, kSide);
      maps.push_back(map);
      masks.push_back(mask);
    }
    EXPECT_NEAR(*metrics.auroc(), *auroc(scores, labels), 1e-4) << noise;
    EXPECT_NEAR(*metrics.average_precision(), *average_precision(scores, labels), 1e-4) << noise;
    EXPECT_NEAR(metrics.best_f1()->f1, best_f1(scores, labels)->f1, 1e-4) << noise;
    EXPECT_NEAR(*metrics.pro(0.3), exact_pro(maps, masks, kSide, kSide, 0.3), 1e-4) << noise;
    EXPECT_GT(metrics.roc_curve(50).size(), 10U);
    EXPECT_LE(metrics.pro_curve(50).size(), 60U);
  }
}

TEST(PixelMetrics, AgreeOnTiedScores) {
  Random random(5);
  Mask mask;
  std::vector<float> map;
  std::vector<double> scores;
  std::vector<std::uint8_t> labels;
  for (int i = 0; i < 30 * 30; ++i) {
    mask.push_back(random.uniform() < 0.2);
    map.push_back(static_cast<float>(random.integer(5)) / 10 + 0.1F * mask.back());
    scores.push_back(map.back());
    labels.push_back(mask.back());
  }
  PixelMetrics metrics;
  metrics.add(map, mask, 30, 30);
  EXPECT_NEAR(*metrics.auroc(), *auroc(scores, labels), 1e-9);
  EXPECT_NEAR(*metrics.average_precision(), *average_precision(scores, labels), 1e-9);
  EXPECT_NEAR(metrics.best_f1()->f1, best_f1(scores, labels)->f1, 1e-9);
  // The threshold is one that gives this F1: a score, up to the width of a bin.
  EXPECT_NEAR(metrics.best_f1()->threshold, best_f1(scores, labels)->threshold, 1e-5);
  EXPECT_NEAR(*metrics.pro(0.3), exact_pro({map}, {mask}, 30, 30, 0.3), 1e-9);
}

TEST(PixelMetrics, KnownRegionsGiveTheSame) {
  const Mask mask = {1, 0, 0, 1};
  const std::vector<float> map = {0.4F, 0.3F, 0.2F, 0.1F};
  PixelMetrics one, two;
  one.add(map, mask, 2, 2);
  two.add(map, find_regions(mask, 2, 2));
  EXPECT_EQ(*one.auroc(), *two.auroc());
  EXPECT_EQ(*one.pro(), *two.pro());
  EXPECT_THROW(two.add(std::vector<float>{1}, find_regions(mask, 2, 2)), std::invalid_argument);
}

TEST(PixelMetrics, TakeNegativeScoresToo) {
  PixelMetrics metrics;
  metrics.add(std::vector<float>{-2, -1, -0.0F, 0.0F, 3}, Mask{0, 1, 0, 1, 1}, 1, 5);
  // Pairs with -2: 3 won; with -0: -1 lost, 0 tied, 3 won.
  EXPECT_NEAR(*metrics.auroc(), 4.5 / 6, 1e-12);
}

}  // namespace
}  // namespace nagl
