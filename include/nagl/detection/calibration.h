#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "nagl/core/enum_names.h"

namespace nagl {

/// How a threshold is chosen.
enum class ThresholdRule {
  kFalseAlarmRate,  ///< so that a good picture lies above it with a given probability
  kBestF1,          ///< where the F1 of the defects at hand against the good pictures is largest
};

constexpr auto names_of(ThresholdRule) {
  return EnumNames<ThresholdRule, 2>{"rule",
                                     {{{ThresholdRule::kFalseAlarmRate, "false_alarm_rate"},
                                       {ThresholdRule::kBestF1, "best_f1"}}}};
}

struct CalibrationOptions {
  ThresholdRule rule = ThresholdRule::kFalseAlarmRate;
  double false_alarm_rate = 0.01;  ///< above 0, below 0.5

  /// Throws ConfigError on a value out of range.
  void check() const;

  template <typename Self, typename Visit>
  static void fields(Self& self, Visit&& visit) {
    visit("rule", self.rule);
    visit("false_alarm_rate", self.false_alarm_rate);
  }
};

/// Thresholds of raw scores, and what they rest on.
struct Calibration {
  double image_threshold = 0;  ///< a picture with a higher image score is called anomalous
  double map_threshold = 0;    ///< pixels above it form regions
  CalibrationOptions options;
  std::int64_t good_pictures = 0;  ///< that were scored
  std::int64_t left_out = 0;       ///< of those, references scored with themselves left out
  std::int64_t good_scores = 0;    ///< with the altered views that were scored where there are few
  std::int64_t defects = 0;
  std::int64_t false_alarms = 0;  ///< of the good pictures, by these thresholds
  std::int64_t misses = 0;        ///< of the defects
  bool extrapolated = false;      ///< the rate asked for is lower than counting can tell
  bool alone = false;             ///< the only reference was scored against itself, altered
  bool thinned = false;           ///< references were left out of a bank that is thinned

  template <typename Self, typename Visit>
  static void fields(Self& self, Visit&& visit) {
    visit("image_threshold", self.image_threshold);
    visit("map_threshold", self.map_threshold);
    visit("options", self.options);
    visit("good_pictures", self.good_pictures);
    visit("left_out", self.left_out);
    visit("good_scores", self.good_scores);
    visit("defects", self.defects);
    visit("false_alarms", self.false_alarms);
    visit("misses", self.misses);
    visit("extrapolated", self.extrapolated);
    visit("alone", self.alone);
    visit("thinned", self.thinned);
  }
};

/// How far a calibration can be trusted, in sentences for a person.
std::vector<std::string> trust_in(const Calibration& calibration);

/// Scores of good pictures, `views` of each one after the other.
struct GoodScores {
  std::vector<double> values;
  std::int64_t pictures = 0;
};

/// A threshold that a further good picture exceeds with probability `rate`. With so many pictures
/// that counting can tell (1 / rate - 1) it is an order statistic of the pictures' own scores, and
/// holds whatever their distribution (split conformal prediction; Vovk et al., 2005). With fewer it
/// is Student's prediction bound, `mean + t(1 - rate, pictures - 1) deviation sqrt(1 + 1 /
/// pictures)` over all views: exact for scores that are normally distributed, an extrapolation for
/// others.
/// @param highest score that there is; no threshold lies above it
/// @param extrapolated whether the second was used
double false_alarm_threshold(const GoodScores& good, double rate, double highest,
                             bool& extrapolated);

/// The threshold with the largest F1; of several the widest gap, and its middle.
double best_f1_threshold(const std::vector<double>& good, const std::vector<double>& bad);

}  // namespace nagl
