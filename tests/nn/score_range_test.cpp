#include "nagl/nn/score_range.h"

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "nagl/metrics/ranking_metrics.h"

namespace nagl {
namespace {

constexpr ScoreRange kUnbounded = ScoreRange::kUnbounded;

TEST(ScoreRange, ScoresWithBoundsAreShownAsTheyAre) {
  EXPECT_EQ(shown_score(0.3, ScoreRange::kUnit), 0.3);
  EXPECT_EQ(raw_score(0.3, ScoreRange::kUnit), 0.3);
  EXPECT_EQ(highest_score(ScoreRange::kUnit), 1);
}

TEST(ScoreRange, UnboundedOnesComeIntoTheUnitInterval) {
  EXPECT_DOUBLE_EQ(shown_score(0, kUnbounded), 0.5);
  EXPECT_DOUBLE_EQ(shown_score(10, kUnbounded), 0.75);  // 0.5 + 10 / (2 (10 + 10))
  EXPECT_DOUBLE_EQ(shown_score(-10, kUnbounded), 0.25);
  EXPECT_DOUBLE_EQ(shown_score(30, kUnbounded), 0.875);
  EXPECT_TRUE(std::isinf(highest_score(kUnbounded)));
  for (const double raw : {-1000.0, -3.0, 0.0, 1e-3, 7.5, 1000.0}) {
    EXPECT_NEAR(raw_score(shown_score(raw, kUnbounded), kUnbounded), raw, 1e-9 * (1 + raw * raw));
  }
}

TEST(ScoreRange, IsStrictlyIncreasingInFloat32UpToAThousand) {
  const at::Tensor raw = at::arange(-1000, 1001, 0.25, at::kFloat);
  const at::Tensor shown = shown_scores(raw, kUnbounded);
  EXPECT_TRUE((shown.slice(0, 1) > shown.slice(0, 0, -1)).all().item<bool>());
  EXPECT_GT(shown.min().item<float>(), 0);
  EXPECT_LT(shown.max().item<float>(), 1);
  EXPECT_FLOAT_EQ(shown[4012].item<float>(), static_cast<float>(shown_score(3, kUnbounded)));
}

TEST(ScoreRange, RankingsStayTheSame) {
  const std::vector<double> raw = {-2, 0.1, 3, 3.5, 900, 901, -0.5, 40};
  const std::vector<std::uint8_t> labels = {0, 0, 1, 0, 1, 1, 0, 1};
  std::vector<double> shown;
  for (const double score : raw) shown.push_back(shown_score(score, kUnbounded));
  EXPECT_EQ(*auroc(raw, labels), *auroc(shown, labels));
}

}  // namespace
}  // namespace nagl
