#include "nagl/metrics/ranking_metrics.h"

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "nagl/core/random.h"

namespace nagl {
namespace {

std::optional<double> of(const std::vector<double>& scores,
                         const std::vector<std::uint8_t>& labels) {
  return auroc(scores, labels);
}

TEST(Auroc, CountsPairsWonAndHalfOfTies) {
  EXPECT_DOUBLE_EQ(*of({0.1, 0.2, 0.8, 0.9}, {0, 0, 1, 1}), 1.0);
  EXPECT_DOUBLE_EQ(*of({0.9, 0.8, 0.2, 0.1}, {0, 0, 1, 1}), 0.0);
  // Pairs (anomalous, normal): (0.4, 0.1) won, (0.4, 0.4) tied, (0.35, 0.1) won, (0.35, 0.4) lost.
  EXPECT_DOUBLE_EQ(*of({0.1, 0.4, 0.35, 0.4}, {0, 0, 1, 1}), 2.5 / 4);
  EXPECT_DOUBLE_EQ(*of({0.5, 0.5, 0.5}, {0, 1, 1}), 0.5);
}

TEST(Auroc, IsAbsentWithOneClass) {
  EXPECT_FALSE(of({}, {}).has_value());
  EXPECT_FALSE(of({0.1, 0.2}, {0, 0}).has_value());
  EXPECT_FALSE(of({0.1, 0.2}, {1, 1}).has_value());
}

TEST(Auroc, RefusesWhatHasNoOrder) {
  EXPECT_THROW(of({0.1}, {0, 1}), std::invalid_argument);
  EXPECT_THROW(of({0.1, std::nan("")}, {0, 1}), std::invalid_argument);
}

TEST(Auroc, EqualsTheCountOverAllPairs) {
  Random random(7);
  std::vector<double> scores(300);
  std::vector<std::uint8_t> labels(300);
  for (std::size_t i = 0; i < scores.size(); ++i) {
    scores[i] = static_cast<double>(random.integer(40));  // many ties
    labels[i] = random.integer(3) == 0;
  }
  double won = 0, pairs = 0;
  for (std::size_t a = 0; a < scores.size(); ++a) {
    for (std::size_t n = 0; n < scores.size(); ++n) {
      if (!labels[a] || labels[n]) continue;
      won += scores[a] > scores[n] ? 1 : scores[a] == scores[n] ? 0.5 : 0;
      pairs += 1;
    }
  }
  EXPECT_NEAR(*auroc(scores, labels), won / pairs, 1e-12);
}

const std::vector<double> kScores = {0.1, 0.9, 0.8, 0.8, 0.3, 0.3, 0.2, 0.75};
const std::vector<std::uint8_t> kLabels = {0, 1, 0, 1, 1, 0, 0, 1};

TEST(AveragePrecision, ByHand) {
  // Down the scores: 0.9 finds 1 of 1; 0.8 2 of 3; 0.75 3 of 4; 0.3 4 of 6. Each has a quarter.
  EXPECT_NEAR(*average_precision(kScores, kLabels), (1 + 2.0 / 3 + 3.0 / 4 + 4.0 / 6) / 4, 1e-12);
  const std::vector<double> constant(8, 0.5);
  EXPECT_NEAR(*average_precision(constant, kLabels), 0.5, 1e-12);  // the share of anomalies
}

TEST(BestF1, ByHand) {
  // From 0.75 up: 3 hits, 1 false alarm, 1 miss: 6 / (6 + 1 + 1). From 0.3 up: 8 / (8 + 2 + 0).
  const auto best = *best_f1(kScores, kLabels);
  EXPECT_NEAR(best.f1, 0.8, 1e-12);
  EXPECT_EQ(best.threshold, 0.3);
  EXPECT_NEAR(best_f1(std::vector<double>{1, 2, 3}, std::vector<std::uint8_t>{0, 0, 1})->f1, 1,
              1e-12);
}

TEST(RankingMetrics, AgreeWithScikitLearn) {
  EXPECT_NEAR(*auroc(kScores, kLabels), 0.8125, 1e-12);
  EXPECT_NEAR(*average_precision(kScores, kLabels), 0.7708333333333333, 1e-12);
}

TEST(RankingMetrics, AreAbsentWithOneClass) {
  const std::vector<double> scores = {0.1, 0.2};
  for (const auto& labels : {std::vector<std::uint8_t>{0, 0}, std::vector<std::uint8_t>{1, 1}}) {
    EXPECT_FALSE(auroc(scores, labels).has_value());
    EXPECT_FALSE(average_precision(scores, labels).has_value());
    EXPECT_FALSE(best_f1(scores, labels).has_value());
    EXPECT_TRUE(roc_curve(scores, labels).empty());
  }
  EXPECT_FALSE(auroc({}, {}).has_value());
}

TEST(RocCurve, HasAPointForEachScore) {
  const auto curve = roc_curve(kScores, kLabels);
  const std::vector<std::pair<double, double>> expected = {
      {0, 0}, {0, 0.25}, {0.25, 0.5}, {0.25, 0.75}, {0.5, 1}, {0.75, 1}, {1, 1}};
  ASSERT_EQ(curve.size(), expected.size());
  double area = 0;
  for (std::size_t i = 0; i < curve.size(); ++i) {
    EXPECT_EQ(curve[i].false_alarms, expected[i].first) << i;
    EXPECT_EQ(curve[i].hits, expected[i].second) << i;
    if (i == 0) continue;
    area += (curve[i].false_alarms - curve[i - 1].false_alarms) *
            (curve[i].hits + curve[i - 1].hits) / 2;
  }
  EXPECT_NEAR(area, *auroc(kScores, kLabels), 1e-12);
}

TEST(RocCurve, IsThinnedEvenly) {
  std::vector<CurvePoint> curve;
  for (int i = 0; i <= 1000; ++i) curve.push_back({i / 1000.0, i / 1000.0});
  const auto thinned = thin_curve(curve, 11);
  EXPECT_LE(thinned.size(), 12U);
  EXPECT_GE(thinned.size(), 10U);
  EXPECT_EQ(thinned.front().hits, 0);
  EXPECT_EQ(thinned.back().hits, 1);
  for (std::size_t i = 1; i < thinned.size(); ++i) {
    EXPECT_LE(thinned[i].hits - thinned[i - 1].hits, 0.11);
  }
  EXPECT_EQ(thin_curve({{0, 0}, {1, 1}}, 11).size(), 2U);
}

}  // namespace
}  // namespace nagl
