#pragma once

#include <cstdint>
#include <optional>

#include "nagl/core/enum_names.h"
#include "nagl/detection/calibration.h"

namespace nagl {

/// What a picture is called, by thresholds.
enum class Verdict {
  kUnknown,  ///< there are none: the bank is not calibrated
  kNormal,
  kUncertain,  ///< somebody should look at it; only where that was asked for
  kAnomalous,
};

constexpr auto names_of(Verdict) {
  return EnumNames<Verdict, 4>{"verdict",
                               {{{Verdict::kUnknown, "unknown"},
                                 {Verdict::kNormal, "normal"},
                                 {Verdict::kUncertain, "uncertain"},
                                 {Verdict::kAnomalous, "anomalous"}}}};
}

/// What verdicts and regions go by; raw scores.
struct Thresholds {
  double image = 0;                 ///< a picture with a higher image score is anomalous
  std::optional<double> uncertain;  ///< up to `image`, above this one it is uncertain
  double map = 0;                   ///< regions are hotter than this somewhere
  std::int64_t least_area = 0;      ///< of a region, in pixels
};

/// Those of a calibration, for two verdicts.
Thresholds thresholds_of(const Calibration& calibration);

/// @param image_score raw, as the thresholds are
Verdict verdict_of(double image_score, const std::optional<Thresholds>& thresholds);

}  // namespace nagl
