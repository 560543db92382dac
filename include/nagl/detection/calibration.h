#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "nagl/core/enum_names.h"

namespace nagl {

/// How a threshold is chosen.
enum class ThresholdRule {
  kFalseAlarmRate,  ///< so that a good picture lies above it with a given probability
  kBestF1,          ///< so that good pictures and defects are told apart best, by F1
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
  /// Up to the image threshold, above this a picture is uncertain, for whoever wants three
  /// verdicts; null: calibrated by nagl 0.1.
  std::optional<double> uncertain_threshold;
  double map_threshold = 0;  ///< regions are hotter than this somewhere
  CalibrationOptions options;
  std::int64_t good_pictures = 0;  ///< that were scored
  std::int64_t left_out = 0;       ///< of those, references scored with themselves left out
  std::int64_t good_scores = 0;    ///< with the altered views that were scored where there are few
  std::int64_t defects = 0;        ///< that were scored
  /// The mean of the good pictures' scores, and the median of those of known defects, the enrolled
  /// ones among them; null: not known.
  std::optional<double> good_score, defect_score;
  /// The lowest and the highest score of a good picture; null: calibrated by nagl 0.1.
  std::optional<double> good_least, good_most;
  std::int64_t false_alarms = 0;  ///< of the good pictures, by these thresholds
  std::int64_t misses = 0;        ///< of the defects
  /// Known defects that were pasted onto good pictures, and those of them that are found by a bank
  /// that does not know them (`pasted_recall`).
  std::int64_t pasted = 0, pasted_found = 0;
  bool extrapolated = false;  ///< the rate asked for is lower than counting can tell
  bool alone = false;         ///< the only reference was scored against itself, altered
  bool thinned = false;       ///< references were left out of a bank that is thinned

  template <typename Self, typename Visit>
  static void fields(Self& self, Visit&& visit) {
    visit("image_threshold", self.image_threshold);
    visit("uncertain_threshold", self.uncertain_threshold);
    visit("map_threshold", self.map_threshold);
    visit("options", self.options);
    visit("good_pictures", self.good_pictures);
    visit("left_out", self.left_out);
    visit("good_scores", self.good_scores);
    visit("defects", self.defects);
    visit("good_score", self.good_score);
    visit("defect_score", self.defect_score);
    visit("good_least", self.good_least);
    visit("good_most", self.good_most);
    visit("false_alarms", self.false_alarms);
    visit("misses", self.misses);
    visit("pasted", self.pasted);
    visit("pasted_found", self.pasted_found);
    visit("extrapolated", self.extrapolated);
    visit("alone", self.alone);
    visit("thinned", self.thinned);
  }
};

/// How far a calibration can be trusted, in sentences for a person.
std::vector<std::string> trust_in(const Calibration& calibration);

/// Raw scores of good pictures, `views` of each one after the other.
struct GoodScores {
  std::vector<double> values;
  std::int64_t pictures = 0;
  /// How much good pictures of other kinds deviate (`usual_deviation`); 0: not known.
  double usual_deviation = 0;

  double mean() const;
};

/// How much image scores of good pictures usually deviate from their mean: pooled over nine kinds
/// of parts and textures (docs/banks.md). A few pictures do not tell their own deviation well.
/// @param patch_deviation deviation of good patches' scores; of standardised scores it is 1
/// @param standardised whether scores are (ScoreRange::kUnbounded)
double usual_deviation(double patch_deviation, bool standardised);

/// The deviation of good patches' scores, from what lies between their median and their 95 %
/// quantile, which defects that nobody saw hardly change.
/// @param scores not empty
double patch_deviation(std::vector<float> scores);

/// A threshold that a further good picture exceeds with probability `rate`. With so many pictures
/// that counting can tell (1 / rate - 1) it is an order statistic of the pictures' own scores, and
/// holds whatever their distribution (split conformal prediction; Vovk et al., 2005).
///
/// With fewer it is Student's prediction bound of a moderated deviation (Smyth, 2004): over all
/// views, `mean + t(1 - rate, d + n - 1) s sqrt(1 + 1 / n)`, n the number of pictures, `s^2 = (d
/// u^2 + (n - 1) s_own^2) / (d + n - 1)`, u the usual deviation and d = 4 the pictures that it
/// counts for (0 where it is not known).
///
/// A known defect tells how far there is to go: two thirds of the way that Student's bound goes,
/// and a fifth of that from the mean to the defect's score (docs/banks.md).
/// @param defect score of known defects; null: none is known, or it says nothing
/// @param highest score that there is; no threshold lies above it
/// @param extrapolated whether the second was used
double false_alarm_threshold(const GoodScores& good, double rate, std::optional<double> defect,
                             double highest, bool& extrapolated);

/// A threshold that tells good pictures and defects like the known ones apart, from too few defects
/// to try: a fifth of the way from the good pictures' mean to the defects' score, a quarter of the
/// moderated deviation back, but no lower than the mean. @param good as `false_alarm_threshold`
double balanced_threshold(const GoodScores& good, double defect);

/// Defects that it takes to try thresholds.
inline constexpr std::size_t kEnoughDefects = 5;

/// The threshold with the largest F1; of several the widest gap, and its middle.
double best_f1_threshold(const std::vector<double>& good, const std::vector<double>& bad);

}  // namespace nagl
