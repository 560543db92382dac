#include "nagl/detection/calibrator.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <opencv2/core.hpp>
#include <optional>
#include <utility>
#include <vector>

#include "nagl/core/error.h"
#include "nagl/core/file_part.h"
#include "nagl/core/quantile.h"
#include "nagl/image/alteration.h"
#include "probe_scores.h"

namespace nagl {
namespace {

constexpr std::size_t kEnoughPictures = 4;  // from here on pictures are scored as they are only

constexpr const char* kNeedsDefect =
    "rule best_f1 needs to know a defect: give --abnormal, or enroll one with its mask (methods "
    "auto and discriminant)";

/// How the next picture of a part may differ from the last one.
constexpr std::array kViews = {Alteration{1.5, 0.01, 0.01, 1}, Alteration{-1.5, -0.01, 0.01, 1},
                               Alteration{0, 0.01, -0.01, 1.06}, Alteration{0, -0.01, -0.01, 0.94}};

/// What a threshold is chosen by, raw: the image score, and the hottest pixel of the map.
struct Scores {
  double image = 0, peak = 0;
};

Scores scores_of(const PictureScores& seen) {
  Scores scores{seen.raw_image_score(), 0};
  cv::minMaxLoc(seen.raw_map(), nullptr, &scores.peak);
  return scores;
}

/// What a bank holds of a good picture, by tile: its features, 0 where its patches do not count.
std::vector<at::Tensor> features_of(const Bank& bank, std::int64_t index, std::int64_t patches) {
  const at::Tensor rows = bank.features.normal_picture_unturned(index);
  const at::Tensor& counted = bank.features.counted;
  if (counted.defined()) return {scattered(rows, counted)};
  return rows.split(patches);
}

/// The median score of the enrolled defects, by the patches that were marked as such: the mean of
/// the top share of them. Null where they say nothing: methods that do not tell how far they are
/// from good patches, masks that nobody drew.
std::optional<double> enrolled_defect_score(const Detector& detector) {
  const c10::InferenceMode guard;
  const Bank& bank = detector.bank();
  if (!bank.knows_defect()) return std::nullopt;
  const ReferenceFeatures& features = bank.features;
  const double share = bank.options.top_share.value_or(top_share_of(bank.options.method));
  const auto top = std::max<std::int64_t>(
      1, static_cast<std::int64_t>(share * static_cast<double>(detector.grid().size())));
  const at::Tensor scores =
      detector.references().score(features.abnormal.unsqueeze(0), bank.options.method)[0].to(
          at::kCPU);
  std::vector<double> pictures;
  std::int64_t view = 0, row = 0;
  for (const auto views : features.abnormal_views) {
    const std::int64_t rows =
        features.patch_mask.slice(0, view, view + views).sum().item<std::int64_t>();
    const at::Tensor own = scores.slice(0, row, row + rows);
    if (features.drawn.slice(0, view, view + views).any().item<bool>()) {
      pictures.push_back(std::get<0>(own.topk(std::min(top, rows))).mean().item<double>());
    }
    view += views;
    row += rows;
  }
  if (pictures.empty()) return std::nullopt;
  return median(pictures);
}

/// Scores pictures against a bank, leaving out of it the one that is scored.
class Calibrator {
 public:
  Calibrator(const std::shared_ptr<const Backbone>& backbone, const Bank& bank,
             std::int64_t batch_size)
      : backbone_(backbone), bank_(bank), batch_size_(batch_size) {
    bank_.calibration.reset();
  }

  /// @param of how many good pictures it is one
  /// @param given by the user; else it is one of the bank's references
  void add_good(const Image& image, std::size_t of, bool given = false) {
    const bool few = of < kEnoughPictures;
    const auto own = same_shots(bank_.normal, nagl::enrolled(image));
    const bool alone = is_alone(own);
    if (alone && given) return;  // the bank holds nothing that it could be compared with
    const auto without = leave_out(own);
    const Detector& detector = without ? *without : whole();
    count_good(own, alone);
    if (!alone) keep_good(detector.score(image));
    if (!few && !alone) return;
    for (const auto& view : kViews) {
      Image changed = image;
      changed.rgb = altered(image.rgb, view);
      keep_good(detector.score(changed));
    }
    if (!alone || !bank_.roi.empty()) return;  // what lay outside would lie inside
    Image mirrored = image;
    cv::flip(image.rgb, mirrored.rgb, /*around the vertical axis*/ 1);
    keep_good(detector.score(mirrored));
  }

  /// One of at least four references of a bank that is not thinned, by what it holds of it.
  void add_reference(std::int64_t index) {
    const EnrolledPicture& picture = bank_.normal[static_cast<std::size_t>(index)];
    const auto own = same_shots(bank_.normal, picture);
    const auto without = leave_out(own);
    const Detector& detector = without ? *without : whole();
    count_good(own, /*alone=*/false);
    keep_good(score_features(detector, picture, features_of(bank_, index, detector.grid().size())));
  }

  /// @return false if the picture cannot be scored fairly
  bool add_defect(const Image& image) {
    const auto own = find_picture(bank_.abnormal, checksum_of(image));
    if (!own || !uses_abnormal(bank_.options.method)) {
      keep(bad_, scores_of(whole().score(image)));
    } else if (bank_.abnormal.size() == 1) {
      return false;
    } else {
      const Detector others(backbone_, leaving_out(bank_, {{}, {*own}}), batch_size_);
      keep(bad_, scores_of(others.score(image)));
    }
    result_.defects += 1;
    return true;
  }

  Calibration finish(const CalibrationOptions& options) {
    if (result_.good_pictures == 0) {
      throw ConfigError(
          "the good pictures are copies of the bank's only reference and say nothing; give others "
          "with --normal");
    }
    result_.options = options;
    result_.good_scores = static_cast<std::int64_t>(good_.image.size());
    const GoodScores images = good_scores(good_.image), peaks = good_scores(good_.peak);
    result_.good_score = images.mean();
    const auto [least, most] = std::minmax_element(good_.image.begin(), good_.image.end());
    result_.good_least = *least;
    result_.good_most = *most;
    result_.defect_score = defect_score();
    // The patches of enrolled defects have no map: their peaks lie as far up as their scores.
    std::optional<double> peak_score = result_.defect_score;
    if (peak_score) *peak_score += peaks.mean() - images.mean();
    if (options.rule == ThresholdRule::kBestF1) {
      separate(images, peaks, peak_score);
    } else {
      bool ignored = false;
      const double highest = highest_score(bank_.score_range());
      result_.image_threshold = false_alarm_threshold(
          images, options.false_alarm_rate, result_.defect_score, highest, result_.extrapolated);
      result_.map_threshold =
          false_alarm_threshold(peaks, options.false_alarm_rate, peak_score, highest, ignored);
    }
    result_.uncertain_threshold = std::min(result_.image_threshold, lower_threshold(images));
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

  void keep_good(const PictureScores& seen) {
    keep(good_, scores_of(seen));
    if (bank_.score_range() == ScoreRange::kUnbounded) return;
    const at::Tensor patches = seen.counted_patch_scores().contiguous();
    const auto* values = patches.const_data_ptr<float>();
    patches_.insert(patches_.end(), values, values + patches.numel());
  }

  bool is_alone(const std::vector<std::int64_t>& own) const {
    return uses_normal(bank_.options.method) && !own.empty() && own.size() == bank_.normal.size();
  }

  void count_good(const std::vector<std::int64_t>& own, bool alone) {
    result_.good_pictures += 1;
    result_.left_out += !own.empty();
    result_.alone = result_.alone || alone;
  }

  /// The bank without some of its references; null: as it is.
  std::optional<Detector> leave_out(const std::vector<std::int64_t>& own) {
    std::optional<Detector> without;
    if (own.empty() || is_alone(own) || !uses_normal(bank_.options.method)) return without;
    result_.thinned = result_.thinned || bank_.features.thinned;
    without.emplace(backbone_, leaving_out(bank_, {own, {}}), batch_size_);
    return without;
  }

  GoodScores good_scores(const std::vector<double>& values) const {
    const bool standardised = bank_.score_range() == ScoreRange::kUnbounded;
    return {values, result_.good_pictures,
            usual_deviation(standardised ? 1 : patch_deviation(patches_), standardised)};
  }

  /// The median of all known defects.
  std::optional<double> defect_score() {
    std::vector<double> scores = bad_.image;
    if (const auto enrolled = enrolled_defect_score(whole())) scores.push_back(*enrolled);
    if (scores.empty()) return std::nullopt;
    return median(scores);
  }

  /// Thresholds that tell good pictures and defects apart.
  void separate(const GoodScores& images, const GoodScores& peaks,
                const std::optional<double>& defect_peak) {
    if (!result_.defect_score) throw ConfigError(kNeedsDefect);
    if (bad_.image.size() >= kEnoughDefects) {
      result_.image_threshold = best_f1_threshold(good_.image, bad_.image);
      result_.map_threshold = best_f1_threshold(good_.peak, bad_.peak);
      return;
    }
    result_.image_threshold = balanced_threshold(images, *result_.defect_score);
    result_.map_threshold = balanced_threshold(peaks, *defect_peak);
  }

  /// Where uncertainty begins: what tells a known defect from good pictures best, or ten times as
  /// many false alarms, or where many are accepted anyway, three in ten.
  double lower_threshold(const GoodScores& images) const {
    bool ignored = false;
    const double highest = highest_score(bank_.score_range());
    const bool strict = result_.options.rule == ThresholdRule::kFalseAlarmRate;
    const auto& defect = result_.defect_score;
    if (strict && defect && *defect > images.mean()) return balanced_threshold(images, *defect);
    constexpr double kMost = 0.3;
    const double rate = strict ? std::min(kMost, 10 * result_.options.false_alarm_rate) : kMost;
    return false_alarm_threshold(images, rate, std::nullopt, highest, ignored);
  }

  const Detector& whole() {
    if (!whole_) whole_.emplace(backbone_, bank_, batch_size_);
    return *whole_;
  }

  std::shared_ptr<const Backbone> backbone_;
  Bank bank_;
  std::int64_t batch_size_;
  std::optional<Detector> whole_;
  Kept good_, bad_;
  std::vector<float> patches_;  ///< scores of good ones, where they are bounded
  Calibration result_;
};

/// The references of a bank that are no copies of an earlier one. Those that a bank learnt were
/// chosen for their scores, and say nothing of how good pictures are; they count only
/// where there are hardly others.
std::vector<std::int64_t> distinct_references(const Bank& bank, CalibrationFindings& findings) {
  std::vector<std::int64_t> chosen, sampled;
  const std::size_t begin = bank.features.merged > 0 ? 1 : 0;  // several have no picture
  for (std::size_t i = begin; i < bank.normal.size(); ++i) {
    const auto same = same_shots(bank.normal, bank.normal[i]);
    const auto first = static_cast<std::size_t>(same.front());
    if (first < i) {
      findings.copies.emplace_back(bank.normal[i].path, bank.normal[first].path);
    } else {
      chosen.push_back(static_cast<std::int64_t>(i));
      const bool decided =
          std::any_of(bank.decisions.begin(), bank.decisions.end(), [&](const Decision& said) {
            return said.learnt && said.checksum == bank.normal[i].checksum;
          });
      if (!decided) sampled.push_back(static_cast<std::int64_t>(i));
    }
  }
  return sampled.size() > 1 ? sampled : chosen;
}

/// Whether a bank holds all that scoring its own references takes.
bool holds_references(const Bank& bank, const std::vector<std::int64_t>& references) {
  return holds_views(bank) && references.size() >= kEnoughPictures &&
         std::all_of(bank.normal.begin(), bank.normal.end(), [](const EnrolledPicture& picture) {
           return picture.width > 0 && picture.height > 0;
         });
}

/// The pictures without those that are the same shot as an earlier one.
std::vector<std::filesystem::path> distinct(const std::vector<std::filesystem::path>& paths,
                                            const DecodeOptions& decode,
                                            const std::function<void()>& step,
                                            CalibrationFindings& findings) {
  std::vector<EnrolledPicture> kept;
  std::vector<std::filesystem::path> chosen;
  for (const auto& path : paths) {
    EnrolledPicture picture = nagl::enrolled(read_image(path, decode));
    step();
    const auto same = same_shots(kept, picture);
    if (!same.empty()) {
      findings.copies.emplace_back(path, chosen[static_cast<std::size_t>(same.front())]);
      continue;
    }
    kept.push_back(std::move(picture));
    chosen.push_back(path);
  }
  return chosen;
}

}  // namespace

Image read_reference(const EnrolledPicture& picture, const DecodeOptions& decode) {
  std::error_code error;
  if (picture.path.empty() || !std::filesystem::exists(file_of(picture.path), error)) {
    throw DataError(fmt::format(
        "the bank's reference '{}' is not there any more; give good pictures with --normal",
        picture.path));
  }
  Image image = read_image(picture.path, decode);
  if (checksum_of(image) == picture.checksum) return image;
  throw DataError(fmt::format(
      "the bank's reference '{}' has changed since; enroll again, or give good pictures with "
      "--normal",
      picture.path));
}

PictureScores score_features(const Detector& detector, const EnrolledPicture& picture,
                             const std::vector<at::Tensor>& features) {
  // Nothing of the picture but its size counts.
  const cv::Mat blank(static_cast<int>(picture.height), static_cast<int>(picture.width), CV_8UC3,
                      cv::Scalar());
  return detector.score(Image{blank, picture.path, {}}, features);
}

Calibration calibrate(const std::shared_ptr<const Backbone>& backbone, const Bank& bank,
                      const CalibrationPictures& pictures, const CalibrationOptions& options,
                      std::int64_t batch_size,
                      const std::function<void(std::int64_t, std::int64_t)>& progress,
                      CalibrationFindings* findings) {
  const c10::InferenceMode guard;
  options.check();
  const bool enrolled = pictures.normal.empty();
  if (enrolled && bank.normal.empty()) {
    throw ConfigError("a calibration needs good pictures; give --normal");
  }
  if (options.rule == ThresholdRule::kBestF1 && pictures.abnormal.empty() && !bank.knows_defect()) {
    throw ConfigError(kNeedsDefect);  // before anything is scored
  }
  CalibrationFindings found;
  const DecodeOptions& decode = bank.options.encoding.decode;
  std::int64_t done = 0, total = static_cast<std::int64_t>(pictures.abnormal.size());
  const auto step = [&] {
    if (progress) progress(done, total);
    ++done;
  };
  Calibrator calibrator(backbone, bank, batch_size);
  if (enrolled) {
    const auto references = distinct_references(bank, found);
    const bool held = holds_references(bank, references);
    total += static_cast<std::int64_t>(references.size());
    for (const auto index : references) {
      step();
      if (held) {
        calibrator.add_reference(index);
        continue;
      }
      const EnrolledPicture& picture = bank.normal[static_cast<std::size_t>(index)];
      calibrator.add_good(read_reference(picture, decode), references.size());
    }
  } else {
    total += 2 * static_cast<std::int64_t>(pictures.normal.size());
    const auto good = distinct(pictures.normal, decode, step, found);
    total -= static_cast<std::int64_t>(pictures.normal.size() - good.size());
    for (const auto& path : good) {
      step();
      calibrator.add_good(read_image(path, decode), good.size(), /*given=*/true);
    }
  }
  for (const auto& path : pictures.abnormal) {
    step();
    if (!calibrator.add_defect(read_image(path, decode))) found.left_aside.push_back(path);
  }
  if (findings != nullptr) *findings = std::move(found);
  return calibrator.finish(options);
}

}  // namespace nagl
