#include "nagl/detection/verdict.h"

namespace nagl {

Verdict verdict_of(double image_score, const std::optional<Calibration>& calibration) {
  if (!calibration) return Verdict::kUnknown;
  return image_score > calibration->image_threshold ? Verdict::kAnomalous : Verdict::kNormal;
}

}  // namespace nagl
