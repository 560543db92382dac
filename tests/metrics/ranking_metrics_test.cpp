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

}  // namespace
}  // namespace nagl
