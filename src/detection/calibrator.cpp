#include "nagl/detection/calibrator.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <opencv2/core.hpp>
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

/// What a threshold is chosen by, raw: the image score, and the hottest pixel of the map.
struct Scores {
  double image = 0, peak = 0;
};

Scores scores_of(const Detector& detector, const Image& image) {
  const PictureScores seen = detector.score(image);
  Scores scores{seen.raw_image_score(), 0};
  cv::minMaxLoc(seen.raw_map(), nullptr, &scores.peak);
  return scores;
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
    Image image = read_image(path, bank_.options.encoding.decode);
    if (seen_) seen_(image);
    return image;
  }

  /// @param of how many good pictures it is one
  /// @param enrolled whether it must be one of the bank's references
  void add_good(const std::filesystem::path& path, std::size_t of, bool enrolled) {
    const bool few = of < kEnoughPictures;
    const Image image = read(path);
    const EnrolledPicture picture = nagl::enrolled(image);
    const auto own = same_shots(bank_.normal, picture);
    if (enrolled && !find_picture(bank_.normal, picture.checksum)) {
      throw DataError(fmt::format(
          "the bank's reference '{}' has changed since; enroll again, or give good pictures with "
          "--normal",
          path.string()));
    }
    const bool by_normal = uses_normal(bank_.options.method);
    const bool alone = by_normal && !own.empty() && own.size() == bank_.normal.size();
    if (alone && !enrolled) return;  // the bank holds nothing that it could be compared with
    std::optional<Detector> without;
    if (!own.empty() && !alone && by_normal) {
      Bank others = bank_;
      others.features = bank_.features.without_normal(own);
      for (auto index = own.rbegin(); index != own.rend(); ++index) {
        others.normal.erase(others.normal.begin() + *index);
      }
      result_.thinned = result_.thinned || bank_.options.coreset < 1;
      without.emplace(backbone_, std::move(others), batch_size_);
    }
    const Detector& detector = without ? *without : whole();
    result_.good_pictures += 1;
    result_.left_out += !own.empty();
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
    if (result_.good_pictures == 0) {
      throw ConfigError(
          "the good pictures are copies of the bank's only reference and say nothing; give others "
          "with --normal");
    }
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
                                     highest_score(bank_.score_range()), extrapolated);
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

/// The pictures without those that are the same shot as an earlier one.
std::vector<std::filesystem::path> distinct(const std::vector<std::filesystem::path>& paths,
                                            const DecodeOptions& decode,
                                            const std::function<void(const Image&)>& seen,
                                            CalibrationFindings& findings) {
  std::vector<EnrolledPicture> kept;
  std::vector<std::filesystem::path> chosen;
  for (const auto& path : paths) {
    const Image image = read_image(path, decode);
    if (seen) seen(image);
    EnrolledPicture picture = nagl::enrolled(image);
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

Calibration calibrate(const std::shared_ptr<const Backbone>& backbone, const Bank& bank,
                      const CalibrationPictures& pictures, const CalibrationOptions& options,
                      std::int64_t batch_size, const std::function<void(const Image&)>& seen,
                      CalibrationFindings* findings) {
  options.check();
  const bool enrolled = pictures.normal.empty();
  const auto given = enrolled ? own_pictures(bank) : pictures.normal;
  if (given.empty()) throw ConfigError("a calibration needs good pictures; give --normal");
  CalibrationFindings found;
  const auto good = distinct(given, bank.options.encoding.decode, seen, found);
  Calibrator calibrator(backbone, bank, batch_size, seen);
  for (const auto& path : good) calibrator.add_good(path, good.size(), enrolled);
  for (const auto& path : pictures.abnormal) {
    if (!calibrator.add_defect(path)) found.left_aside.push_back(path);
  }
  if (findings != nullptr) *findings = std::move(found);
  return calibrator.finish(options);
}

}  // namespace nagl
