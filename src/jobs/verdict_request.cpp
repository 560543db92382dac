#include <fmt/format.h>

#include <algorithm>

#include "nagl/core/error.h"
#include "nagl/jobs/score.h"

namespace nagl::jobs {

std::optional<Thresholds> VerdictRequest::over(const Bank& bank) const {
  const ScoreRange range = bank.score_range();
  const auto raw = [&](double shown, const char* option) {
    const bool open = range == ScoreRange::kUnbounded;
    if (!(open ? shown > 0 && shown < 1 : shown >= 0 && shown <= 1)) {
      throw ConfigError(fmt::format("{} {} is not {}", option, shown,
                                    open ? "above 0 and below 1" : "from 0 to 1"));
    }
    return raw_score(shown, range);
  };
  std::optional<Thresholds> thresholds;
  const auto& calibration = bank.calibration;
  if (calibration) thresholds = nagl::thresholds_of(*calibration);
  if (threshold) {
    if (!thresholds) thresholds = Thresholds{0, {}, raw(*threshold, "--threshold"), 0};
    thresholds->image = raw(*threshold, "--threshold");
  }
  if (!thresholds) return thresholds;
  if (map_threshold) thresholds->map = raw(*map_threshold, "--map-threshold");
  thresholds->least_area = least_area;
  if (uncertain_threshold) {
    thresholds->uncertain = raw(*uncertain_threshold, "--uncertain-threshold");
  } else if (uncertain) {
    if (calibration) thresholds->uncertain = calibration->uncertain_threshold;
    if (!thresholds->uncertain) {
      throw ConfigError(
          "--uncertain: the bank was calibrated by an earlier version of nagl, for two verdicts; "
          "calibrate it again, or give --uncertain-threshold");
    }
    // A threshold of somebody's own may lie below it: then nothing is uncertain.
    thresholds->uncertain = std::min(*thresholds->uncertain, thresholds->image);
  }
  if (thresholds->uncertain && *thresholds->uncertain > thresholds->image) {
    throw ConfigError(fmt::format("--uncertain-threshold {} is above the threshold {:.4f}",
                                  *uncertain_threshold, shown_score(thresholds->image, range)));
  }
  return thresholds;
}

}  // namespace nagl::jobs
