#pragma once

#include "nagl/core/torch.h"

namespace nagl {

/// What values a method's scores take.
enum class ScoreRange {
  kUnit,       ///< [0, 1], and are shown as they are
  kUnbounded,  ///< any real number; shown through `shown_score`
};

/// The largest score there is; infinity where there is none.
double highest_score(ScoreRange range);

/// The raw score that lies half way between 0.5 and 1.
inline constexpr double kScoreScale = 10;

/// What users see of a raw score: of an unbounded one g(S) = 0.5 + S / (2 (c + |S|)) with
/// c = kScoreScale, in (0, 1), strictly increasing, the same for all banks; its tails are
/// algebraic, so that large scores stay apart in float32 where an exponential would make them
/// equal. All that averages, smooths or compares with thresholds goes by raw scores and comes
/// before.
double shown_score(double raw, ScoreRange range);
/// The same of each element.
at::Tensor shown_scores(const at::Tensor& raw, ScoreRange range);

/// The raw score that is shown so: the inverse of `shown_score`.
/// @param shown in (0, 1) for an unbounded range
double raw_score(double shown, ScoreRange range);

}  // namespace nagl
