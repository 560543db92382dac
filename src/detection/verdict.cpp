#include "nagl/detection/verdict.h"

namespace nagl {

Thresholds thresholds_of(const Calibration& calibration) {
  return {calibration.image_threshold, std::nullopt, calibration.map_threshold, 0};
}

Verdict verdict_of(double image_score, const std::optional<Thresholds>& thresholds) {
  if (!thresholds) return Verdict::kUnknown;
  if (image_score > thresholds->image) return Verdict::kAnomalous;
  if (thresholds->uncertain && image_score > *thresholds->uncertain) return Verdict::kUncertain;
  return Verdict::kNormal;
}

}  // namespace nagl
