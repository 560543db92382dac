#include "nagl/nn/score_range.h"

#include <cmath>
#include <limits>

namespace nagl {

double highest_score(ScoreRange range) {
  return range == ScoreRange::kUnit ? 1 : std::numeric_limits<double>::infinity();
}

double shown_score(double raw, ScoreRange range) {
  if (range == ScoreRange::kUnit) return raw;
  return 0.5 + raw / (2 * (kScoreScale + std::abs(raw)));
}

at::Tensor shown_scores(const at::Tensor& raw, ScoreRange range) {
  if (range == ScoreRange::kUnit) return raw;
  return raw / (raw.abs().add_(kScoreScale).mul_(2)) + 0.5;
}

double raw_score(double shown, ScoreRange range) {
  if (range == ScoreRange::kUnit) return shown;
  const double side = 2 * shown - 1;  // S / (c + |S|)
  return kScoreScale * side / (1 - std::abs(side));
}

}  // namespace nagl
