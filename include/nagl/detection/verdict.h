#pragma once

#include <optional>

#include "nagl/core/enum_names.h"
#include "nagl/detection/calibration.h"

namespace nagl {

/// What a picture is called, by the threshold of its bank's calibration.
enum class Verdict {
  kUnknown,  ///< the bank is not calibrated
  kNormal,
  kAnomalous,
};

constexpr auto names_of(Verdict) {
  return EnumNames<Verdict, 3>{"verdict",
                               {{{Verdict::kUnknown, "unknown"},
                                 {Verdict::kNormal, "normal"},
                                 {Verdict::kAnomalous, "anomalous"}}}};
}

/// Anomalous above the calibration's image threshold, normal up to it.
/// @param image_score raw, as the calibration's thresholds are
Verdict verdict_of(double image_score, const std::optional<Calibration>& calibration);

}  // namespace nagl
