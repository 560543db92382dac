#include "nagl/detection/calibration.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numbers>
#include <numeric>
#include <utility>

#include "nagl/core/error.h"
#include "nagl/core/quantile.h"

namespace nagl {
namespace {

/// The integral of cos^power from 0 to `angle`, by Simpson's rule.
double cosine_integral(double angle, double power) {
  constexpr int kSteps = 2000;
  const double step = angle / kSteps;
  double sum = 0;
  for (int i = 0; i <= kSteps; ++i) {
    const double weight = i == 0 || i == kSteps ? 1 : (i % 2 == 1 ? 4 : 2);
    sum += weight * std::pow(std::max(0.0, std::cos(i * step)), power);
  }
  return sum * step / 3;
}

/// The quantile of Student's distribution, for probability 0.5..1: with t = sqrt(n) tan(angle) its
/// density is that of cos^(n - 1).
double student_quantile(double probability, double freedom) {
  const double half = cosine_integral(std::numbers::pi / 2, freedom - 1);
  double low = 0, high = std::numbers::pi / 2;
  for (int i = 0; i < 60; ++i) {
    const double middle = (low + high) / 2;
    const double below = 0.5 + 0.5 * cosine_integral(middle, freedom - 1) / half;
    (below < probability ? low : high) = middle;
  }
  return std::sqrt(freedom) * std::tan((low + high) / 2);
}

// Chosen with each of nine kinds left out in turn; docs/banks.md has the figures.
constexpr double kUsualPictures = 4;           // for which the usual deviation counts
constexpr double kUsualPatchDeviations = 1.6;  // of bounded scores
constexpr double kUsualStandardised = 2.1;
constexpr double kShareOfBound = 2.0 / 3;  // where a defect is known
constexpr double kShareOfDefect = 0.2;
constexpr double kBalanceBack = 0.25;

/// Mean and moderated deviation of good pictures' scores.
struct Spread {
  double mean = 0, deviation = 0;
  double pictures = 1;  ///< that are independent
  double freedom = 0;   ///< degrees of it; 0: nothing is known of the deviation
};

Spread spread_of(const GoodScores& good) {
  const auto count = static_cast<double>(good.values.size());
  Spread spread;
  spread.mean = good.mean();
  double squares = 0;
  for (const double value : good.values) {
    squares += (value - spread.mean) * (value - spread.mean);
  }
  // Views of one picture are no further pictures; a lone picture has nothing but its views.
  const bool prior = good.usual_deviation > 0;
  spread.pictures = good.pictures > 1 || prior ? static_cast<double>(good.pictures) : count;
  const double own = spread.pictures - 1, usual = prior ? kUsualPictures : 0;
  spread.freedom = own + usual;
  if (spread.freedom <= 0) return spread;
  const double own_square = count > 1 ? squares / (count - 1) : 0;
  spread.deviation = std::sqrt(
      (usual * good.usual_deviation * good.usual_deviation + own * own_square) / spread.freedom);
  return spread;
}

double percent(std::int64_t part, std::int64_t whole) {
  return 100 * static_cast<double>(part) / static_cast<double>(whole);
}

}  // namespace

void CalibrationOptions::check() const {
  if (!(false_alarm_rate > 0 && false_alarm_rate < 0.5)) {
    throw ConfigError(fmt::format("false alarm rate {} is not above 0 and below 0.5, e.g. 0.01",
                                  false_alarm_rate));
  }
}

double GoodScores::mean() const {
  return std::accumulate(values.begin(), values.end(), 0.0) / static_cast<double>(values.size());
}

double usual_deviation(double patch_deviation, bool standardised) {
  return standardised ? kUsualStandardised : kUsualPatchDeviations * patch_deviation;
}

double patch_deviation(std::vector<float> scores) {
  constexpr double kNormalQuantile = 1.645;  // of 95 %
  const double middle = quantile(scores, 0.5);
  return (quantile(std::move(scores), 0.95) - middle) / kNormalQuantile;
}

double false_alarm_threshold(const GoodScores& good, double rate, std::optional<double> defect,
                             double highest, bool& extrapolated) {
  const auto pictures = static_cast<double>(good.pictures);
  const std::size_t views = good.values.size() / static_cast<std::size_t>(good.pictures);
  const double rank = std::ceil((pictures + 1) * (1 - rate) - 1e-9);  // from 1
  extrapolated = rank > pictures;
  if (!extrapolated) {
    std::vector<double> own;  // a picture's own score stands before those of its views
    for (std::size_t i = 0; i < good.values.size(); i += views) own.push_back(good.values[i]);
    std::sort(own.begin(), own.end());
    return own[static_cast<std::size_t>(rank) - 1];
  }
  const Spread spread = spread_of(good);
  if (spread.freedom <= 0) return spread.mean;
  double reach = student_quantile(1 - rate, spread.freedom) * spread.deviation *
                 std::sqrt(1 + 1 / spread.pictures);
  if (defect) {
    reach = kShareOfBound * reach + kShareOfDefect * std::max(0.0, *defect - spread.mean);
  }
  return std::min(highest, spread.mean + reach);
}

double balanced_threshold(const GoodScores& good, double defect) {
  const Spread spread = spread_of(good);
  const double reach = kShareOfDefect * (defect - spread.mean) - kBalanceBack * spread.deviation;
  return spread.mean + std::max(0.0, reach);
}

double best_f1_threshold(const std::vector<double>& good, const std::vector<double>& bad) {
  std::vector<double> all = good;
  all.insert(all.end(), bad.begin(), bad.end());
  std::sort(all.begin(), all.end());
  const auto above = [](const std::vector<double>& values, double threshold) {
    return static_cast<double>(std::count_if(values.begin(), values.end(),
                                             [&](double value) { return value > threshold; }));
  };
  // Below all of them everything is called anomalous.
  double best = all.front() - 1e-6, best_gap = 0;
  double best_f1 = 2 * above(bad, best) /
                   (above(bad, best) + above(good, best) + static_cast<double>(bad.size()));
  for (std::size_t i = 0; i + 1 < all.size(); ++i) {
    const double gap = all[i + 1] - all[i];
    if (gap <= 0) continue;
    const double threshold = (all[i] + all[i + 1]) / 2;
    const double found = above(bad, threshold);
    const double f1 =
        2 * found / (found + above(good, threshold) + static_cast<double>(bad.size()));
    if (f1 > best_f1 || (f1 == best_f1 && gap > best_gap)) {
      best_f1 = f1;
      best_gap = gap;
      best = threshold;
    }
  }
  return best;
}

std::vector<std::string> trust_in(const Calibration& c) {
  std::vector<std::string> sentences;
  const auto pictures = static_cast<double>(c.good_pictures);
  if (c.alone) {
    sentences.push_back(
        "The only reference was scored against itself, slightly altered: how much good parts "
        "differ from each other is not known. Give more good pictures before you rely on this "
        "threshold.");
  } else if (c.options.rule == ThresholdRule::kFalseAlarmRate && c.extrapolated) {
    sentences.push_back(fmt::format(
        "{} good pictures cannot show a false-alarm rate of {:.3g} % by counting (that takes {}); "
        "the threshold extrapolates from their spread and that of other parts, and the true rate "
        "may be several times the one asked for, above all where what comes later was taken in "
        "other light, or of other batches, than these.",
        c.good_pictures, 100 * c.options.false_alarm_rate,
        static_cast<std::int64_t>(std::ceil(1 / c.options.false_alarm_rate)) - 1));
  }
  if (c.thinned) {
    sentences.emplace_back(
        "In a thinned bank a reference that is left out takes with it what it stood for among the "
        "others, and looks worse than it is: the threshold is rather too high. Further good "
        "pictures (--normal) make a better one.");
  }
  // The one-sided 95 % bound of Clopper and Pearson for none of n; for more, counting says enough.
  if (c.false_alarms == 0 && !c.alone) {
    sentences.push_back(
        fmt::format("None of the {} good pictures lies above it; with 95 % confidence that only "
                    "says that fewer than {:.0f} % of all good pictures do.",
                    c.good_pictures, 100 * (1 - std::pow(0.05, 1 / pictures))));
  } else if (!c.alone) {
    sentences.push_back(fmt::format("{} of the {} good pictures ({:.0f} %) lie above it.",
                                    c.false_alarms, c.good_pictures,
                                    percent(c.false_alarms, c.good_pictures)));
  }
  if (c.defect_score && c.good_score && *c.defect_score <= *c.good_score) {
    sentences.emplace_back(
        "The known defects score no higher than good pictures: this method does not see them.");
  }
  if (c.defects > 0) {
    sentences.push_back(fmt::format("Of {} known defect{}, {} {} missed.", c.defects,
                                    c.defects == 1 ? "" : "s", c.misses,
                                    c.misses == 1 ? "is" : "are"));
  } else if (c.defect_score) {
    sentences.emplace_back(
        "How far the enrolled defects lie above good pictures counts, but how many others it "
        "misses is not known; give some with --abnormal.");
  } else {
    sentences.emplace_back("No defect was shown: nothing is known of how many it misses.");
  }
  if (c.pasted > 0) {
    sentences.push_back(fmt::format(
        "The enrolled defects were pasted onto good pictures {} times: a bank that does not know "
        "them finds {}, so of defects like these about {:.0f} in 10 would be found, and fewer of "
        "other kinds.",
        c.pasted, c.pasted_found,
        10 * static_cast<double>(c.pasted_found) / static_cast<double>(c.pasted)));
  }
  return sentences;
}

}  // namespace nagl
