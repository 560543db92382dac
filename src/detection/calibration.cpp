#include "nagl/detection/calibration.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <numbers>
#include <numeric>
#include <opencv2/core.hpp>
#include <opencv2/imgproc.hpp>
#include <optional>

#include "nagl/core/error.h"
#include "nagl/detection/detector.h"
#include "nagl/image/alteration.h"

namespace nagl {
namespace {

constexpr std::size_t kEnoughPictures = 4;  // from here on pictures are scored as they are only

/// How the next picture of a part may differ from the last one.
constexpr std::array kViews = {Alteration{1.5, 0.01, 0.01, 1}, Alteration{-1.5, -0.01, 0.01, 1},
                               Alteration{0, 0.01, -0.01, 1.06}, Alteration{0, -0.01, -0.01, 0.94}};

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

/// What a threshold is chosen by: the image score, and the hottest pixel of the map.
struct Scores {
  double image = 0, peak = 0;
};

Scores scores_of(const Detector& detector, const Image& image) {
  const Detection seen = detector.detect(image);
  Scores scores{seen.image_score, 0};
  cv::minMaxLoc(seen.map, nullptr, &scores.peak);
  return scores;
}

double percent(std::int64_t part, std::int64_t whole) {
  return 100 * static_cast<double>(part) / static_cast<double>(whole);
}

/// Scores pictures against a bank, leaving out of it the one that is scored.
class Calibrator {
 public:
  Calibrator(const std::shared_ptr<const Backbone>& backbone, const Bank& bank,
             std::int64_t batch_size, const std::function<void(const Image&)>& seen)
      : backbone_(backbone), bank_(bank), batch_size_(batch_size), seen_(seen) {
    bank_.calibration.reset();
  }

  Image read(const std::filesystem::path& path) const {
    Image image = read_image(path, bank_.options.decode);
    if (seen_) seen_(image);
    return image;
  }

  /// @param of how many good pictures it is one
  /// @param enrolled whether it must be one of the bank's references
  void add_good(const std::filesystem::path& path, std::size_t of, bool enrolled) {
    const bool few = of < kEnoughPictures;
    const Image image = read(path);
    const std::string checksum = checksum_of(image);
    const auto own = find_picture(bank_.normal, checksum);
    if (enrolled && !own) {
      throw DataError(fmt::format(
          "the bank's reference '{}' has changed since; enroll again, or give good pictures with "
          "--normal",
          path.string()));
    }
    std::optional<Detector> without;
    const bool alone = own && bank_.normal.size() == 1 && uses_normal(bank_.options.method);
    if (alone && of > 1) return;  // the others tell more
    if (own && !alone && uses_normal(bank_.options.method)) {
      Bank others = bank_;
      for (auto same = own; same && others.normal.size() > 1;  // a copy of it does not count either
           same = find_picture(others.normal, checksum)) {
        others.features = others.features.without_normal(*same);
        others.normal.erase(others.normal.begin() + *same);
      }
      result_.thinned = result_.thinned || bank_.options.coreset < 1;
      without.emplace(backbone_, std::move(others), batch_size_);
    }
    const Detector& detector = without ? *without : whole();
    result_.good_pictures += 1;
    result_.left_out += own.has_value();
    result_.alone = result_.alone || alone;
    if (!alone) keep(good_, scores_of(detector, image));
    if (!few && !alone) return;
    for (const auto& view : kViews) {
      Image changed = image;
      changed.rgb = altered(image.rgb, view);
      keep(good_, scores_of(detector, changed));
    }
    if (!alone) return;
    Image mirrored = image;
    cv::flip(image.rgb, mirrored.rgb, /*around the vertical axis*/ 1);
    keep(good_, scores_of(detector, mirrored));
  }

  /// @return false if the picture cannot be scored fairly
  bool add_defect(const std::filesystem::path& path) {
    const Image image = read(path);
    const auto own = find_picture(bank_.abnormal, checksum_of(image));
    if (!own || !uses_abnormal(bank_.options.method)) {
      keep(bad_, scores_of(whole(), image));
    } else if (bank_.abnormal.size() == 1) {
      return false;
    } else {
      Bank others = bank_;
      others.features = bank_.features.without_abnormal(*own);
      others.abnormal.erase(others.abnormal.begin() + *own);
      keep(bad_, scores_of(Detector(backbone_, std::move(others), batch_size_), image));
    }
    result_.defects += 1;
    return true;
  }

  Calibration finish(const CalibrationOptions& options) {
    result_.options = options;
    result_.good_scores = static_cast<std::int64_t>(good_.image.size());
    if (options.rule == ThresholdRule::kBestF1) {
      if (result_.defects == 0) {
        throw ConfigError(
            "rule best_f1 needs pictures of defects, other than the bank's only one; give "
            "--abnormal");
      }
      result_.image_threshold = best_f1_threshold(good_.image, bad_.image);
      result_.map_threshold = best_f1_threshold(good_.peak, bad_.peak);
    } else {
      bool ignored = false;
      const auto of = [&](const std::vector<double>& values, bool& extrapolated) {
        return false_alarm_threshold({values, result_.good_pictures}, options.false_alarm_rate,
                                     extrapolated);
      };
      result_.image_threshold = of(good_.image, result_.extrapolated);
      result_.map_threshold = of(good_.peak, ignored);
    }
    // Of each good picture its own score, which stands first (of a lone one, its views').
    const auto views = static_cast<std::size_t>(result_.good_scores / result_.good_pictures);
    for (std::size_t i = 0; i < good_.image.size(); i += views) {
      result_.false_alarms += good_.image[i] > result_.image_threshold;
    }
    result_.misses = std::count_if(bad_.image.begin(), bad_.image.end(),
                                   [&](double score) { return score <= result_.image_threshold; });
    return result_;
  }

 private:
  struct Kept {
    std::vector<double> image, peak;
  };

  static void keep(Kept& kept, const Scores& scores) {
    kept.image.push_back(scores.image);
    kept.peak.push_back(scores.peak);
  }

  const Detector& whole() {
    if (!whole_) whole_.emplace(backbone_, bank_, batch_size_);
    return *whole_;
  }

  std::shared_ptr<const Backbone> backbone_;
  Bank bank_;
  std::int64_t batch_size_;
  const std::function<void(const Image&)>& seen_;
  std::optional<Detector> whole_;
  Kept good_, bad_;
  Calibration result_;
};

/// The bank's own pictures, which must still be where they were.
std::vector<std::filesystem::path> own_pictures(const Bank& bank) {
  std::vector<std::filesystem::path> paths;
  for (const auto& picture : bank.normal) {
    std::error_code error;
    if (picture.path.empty() || !std::filesystem::exists(picture.path, error)) {
      throw DataError(fmt::format(
          "the bank's reference '{}' is not there any more; give good pictures with --normal",
          picture.path));
    }
    paths.emplace_back(picture.path);
  }
  return paths;
}

}  // namespace

void parse(const std::string& name, ThresholdRule& rule) {
  if (name != "false_alarm_rate" && name != "best_f1") {
    throw ConfigError("rule '" + name + "' is not one of false_alarm_rate, best_f1");
  }
  rule = name == "best_f1" ? ThresholdRule::kBestF1 : ThresholdRule::kFalseAlarmRate;
}

std::string to_string(ThresholdRule rule) {
  return rule == ThresholdRule::kBestF1 ? "best_f1" : "false_alarm_rate";
}

void CalibrationOptions::check() const {
  if (!(false_alarm_rate > 0 && false_alarm_rate < 0.5)) {
    throw ConfigError(fmt::format("false alarm rate {} is not above 0 and below 0.5, e.g. 0.01",
                                  false_alarm_rate));
  }
}

double false_alarm_threshold(const GoodScores& good, double rate, bool& extrapolated) {
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
  const auto count = static_cast<double>(good.values.size());
  const double mean = std::accumulate(good.values.begin(), good.values.end(), 0.0) / count;
  // Views of one picture are no further pictures; a lone picture has nothing but its views.
  const double independent = pictures > 1 ? pictures : count;
  if (independent < 2) return mean;
  double squares = 0;
  for (const double value : good.values) squares += (value - mean) * (value - mean);
  const double deviation = std::sqrt(squares / (count - 1));
  const double reach = student_quantile(1 - rate, independent - 1) * std::sqrt(1 + 1 / independent);
  return std::min(1.0, mean + reach * deviation);
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
        "the threshold extrapolates from their spread, and the true rate may well be several times "
        "the one asked for.",
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
  if (c.defects == 0) {
    sentences.emplace_back("No defect was shown: nothing is known of how many it misses.");
  } else {
    sentences.push_back(fmt::format("Of {} known defect{}, {} {} missed.", c.defects,
                                    c.defects == 1 ? "" : "s", c.misses,
                                    c.misses == 1 ? "is" : "are"));
  }
  return sentences;
}

Calibration calibrate(const std::shared_ptr<const Backbone>& backbone, const Bank& bank,
                      const CalibrationPictures& pictures, const CalibrationOptions& options,
                      std::int64_t batch_size, const std::function<void(const Image&)>& seen,
                      std::vector<std::filesystem::path>* left_aside) {
  options.check();
  const auto good = pictures.normal.empty() ? own_pictures(bank) : pictures.normal;
  if (good.empty()) throw ConfigError("a calibration needs good pictures; give --normal");
  Calibrator calibrator(backbone, bank, batch_size, seen);
  for (const auto& path : good) {
    calibrator.add_good(path, good.size(), pictures.normal.empty());
  }
  for (const auto& path : pictures.abnormal) {
    if (!calibrator.add_defect(path) && left_aside != nullptr) left_aside->push_back(path);
  }
  return calibrator.finish(options);
}

}  // namespace nagl
