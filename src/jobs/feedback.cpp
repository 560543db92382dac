#include "nagl/jobs/feedback.h"

#include <fmt/format.h>

#include <algorithm>
#include <functional>

#include "decisions.h"
#include "nagl/core/atomic_file.h"
#include "nagl/core/device.h"
#include "nagl/core/error.h"
#include "nagl/core/file_lock.h"
#include "nagl/core/options.h"
#include "nagl/detection/bank_builder.h"
#include "nagl/detection/bank_edit.h"
#include "nagl/detection/calibrator.h"
#include "nagl/detection/detector.h"
#include "nagl/jobs/bank_preparation.h"

namespace nagl::jobs {
namespace {

namespace fs = std::filesystem;

/// Judges pictures by a bank, each with itself left out.
class Judge {
 public:
  Judge(std::shared_ptr<const Backbone> backbone, const Bank& bank, std::int64_t batch_size)
      : backbone_(std::move(backbone)), bank_(bank), batch_size_(batch_size) {
    if (!bank.calibration) return;
    thresholds_ = thresholds_of(*bank.calibration);
    thresholds_->uncertain = bank.calibration->uncertain_threshold;
  }

  /// @return the score as users see it; nothing where the bank has nothing else to score it by
  std::optional<double> score(const Decided& decided, Verdict& verdict) {
    const PictureIndices own = same_shots(bank_, decided.enrolled);
    const Method method = bank_.options.method;
    const bool all_good = uses_normal(method) && own.normal.size() == bank_.normal.size();
    const bool all_bad = !own.abnormal.empty() && own.abnormal.size() == bank_.abnormal.size() &&
                         uses_abnormal(method);
    verdict = Verdict::kUnknown;
    if (all_good || all_bad) return std::nullopt;
    if (own.empty()) return judged(whole(), decided, verdict);
    return judged(Detector(backbone_, leaving_out(bank_, own), batch_size_, thresholds_), decided,
                  verdict);
  }

  /// The patches by which a good picture was called anomalous, or uncertain, by tile, [N] bool;
  /// empty where it was not. There are some: an image score is a mean of patch scores.
  std::vector<at::Tensor> hot_patches(const Decided& decided) {
    if (!thresholds_) return {};
    const PictureScores scores = score_features(whole(), decided.enrolled, decided.features);
    const Verdict verdict = verdict_of(scores.raw_image_score(), thresholds_);
    if (verdict != Verdict::kAnomalous && verdict != Verdict::kUncertain) return {};
    const double threshold =
        verdict == Verdict::kAnomalous ? thresholds_->image : *thresholds_->uncertain;
    std::vector<at::Tensor> hot;
    for (const auto& tile :
         scores.raw_patch_scores().reshape({-1, whole().grid().size()}).unbind(0)) {
      hot.push_back(tile.gt(threshold));
    }
    return hot;
  }

 private:
  const Detector& whole() {
    if (!whole_) whole_.emplace(backbone_, bank_, batch_size_, thresholds_);
    return *whole_;
  }

  static std::optional<double> judged(const Detector& detector, const Decided& decided,
                                      Verdict& verdict) {
    const PictureScores scores = score_features(detector, decided.enrolled, decided.features);
    verdict = verdict_of(scores.raw_image_score(), detector.thresholds());
    return scores.image_score();
  }

  std::shared_ptr<const Backbone> backbone_;
  const Bank& bank_;
  std::int64_t batch_size_;
  std::optional<Thresholds> thresholds_;
  std::optional<Detector> whole_;
};

/// Where the bank holds a picture as the opposite of what was decided.
PictureIndices contradictions(const Bank& bank, const Decided& decided) {
  PictureIndices found;
  const auto& opposite = decided.decision.anomalous ? bank.normal : bank.abnormal;
  const auto index = find_picture(opposite, decided.enrolled.checksum);
  if (index) (decided.decision.anomalous ? found.normal : found.abnormal).push_back(*index);
  return found;
}

/// Whether the bank has something to learn of a picture.
bool is_lesson(const Decided& decided, const JudgedPicture& judged, const Bank& bank) {
  if (!decided.fresh) return false;
  if (judged.before == Verdict::kUnknown || !contradictions(bank, decided).empty()) return true;
  if (!decided.decision.anomalous) return judged.before != Verdict::kNormal;
  const bool first = bank.abnormal.empty() && !decided.mask.empty();
  return judged.before != Verdict::kAnomalous || first;
}

/// The bank with its lessons, not calibrated.
/// @param hot_patches of a good picture, which are learnt alone; empty: all are
Bank taught(const std::shared_ptr<const Backbone>& backbone, const Bank& bank,
            std::vector<Decided>& decided, std::int64_t batch_size,
            const std::function<std::vector<at::Tensor>(const Decided&)>& hot_patches,
            FeedbackResult& result, const JobObserver& observer) {
  const Method method = bank.options.method;
  std::vector<std::size_t> good, bad;
  std::size_t cannot = 0;
  PictureIndices wrong;
  for (std::size_t i = 0; i < decided.size(); ++i) {
    if (!is_lesson(decided[i], result.pictures[i], bank)) continue;
    const bool anomalous = decided[i].decision.anomalous;
    const PictureIndices own = contradictions(bank, decided[i]);
    wrong.normal.insert(wrong.normal.end(), own.normal.begin(), own.normal.end());
    wrong.abnormal.insert(wrong.abnormal.end(), own.abnormal.begin(), own.abnormal.end());
    if (anomalous ? uses_abnormal(method) : uses_normal(method)) {
      (anomalous ? bad : good).push_back(i);
    } else {
      ++cannot;
    }
  }
  if (cannot > 0) {
    observer.warn(fmt::format("method {} learns nothing of {} pictures; enroll with method auto",
                              to_string(method), cannot));
  }
  // What the bank took for the opposite goes first.
  result.corrected = wrong.normal.size() + wrong.abnormal.size();
  BankBuilder builder(backbone, wrong.empty() ? bank : without_pictures(backbone, bank, wrong),
                      batch_size);
  const auto learn = [&](std::size_t i, std::size_t& count) {
    result.pictures[i].learnt = decided[i].decision.learnt = true;
    ++count;
  };
  std::size_t derived = 0;
  for (const auto i : good) {
    const Image image = builder.encoder().read(decided[i].decision.path);
    const auto known = builder.same_shot(image);
    if (known && known->exact) continue;
    builder.add_normal(image, hot_patches(decided[i]));
    learn(i, result.references);
  }
  std::optional<Detector> by_good_pictures;
  for (const auto i : bad) {
    const Image image = builder.encoder().read(decided[i].decision.path);
    if (builder.holds_abnormal(image)) continue;
    learn(i, result.defects);
    if (!decided[i].mask.empty()) {
      builder.add_abnormal(image, read_mask_for(image, decided[i].mask).marks, decided[i].mask);
      continue;
    }
    if (!by_good_pictures) by_good_pictures.emplace(backbone, builder.normal_part(), batch_size);
    ++derived;
    builder.add_abnormal(image, derive_mask(*by_good_pictures, image).mask, {},
                         MaskOrigin::kDerived);
  }
  if (derived > 0) {
    observer.warn(fmt::format(
        "{} defects have no mask: what they look like cannot be learnt, only what is good around "
        "them; draw them in the report, or give --masks",
        derived));
  }
  return builder.finish();
}

/// Chooses the thresholds again, by the bank's own references.
/// @param rule null: as they were chosen
void calibrate_again(const std::shared_ptr<const Backbone>& backbone, const Bank& before,
                     Bank& bank, const std::optional<ThresholdRule>& rule, std::int64_t batch_size,
                     const JobObserver& observer) {
  bank.calibration.reset();
  if (!before.calibration) return;
  const bool comparable = before.scored_by() == bank.scored_by();
  const bool by_own = before.calibration->left_out == before.calibration->good_pictures &&
                      before.calibration->defects == 0;
  if (!by_own && comparable && !rule) {
    observer.warn(
        "the thresholds were chosen by pictures that the bank does not hold, and stay as they "
        "were; "
        "nagl calibrate with these chooses them again");
    bank.calibration = before.calibration;
    return;
  }
  CalibrationOptions options = before.calibration->options;
  if (rule) options.rule = *rule;
  if (!bank.knows_defect() && options.rule == ThresholdRule::kBestF1) {
    observer.warn(
        "the bank knows no defect with a mask: its thresholds are for a false-alarm rate");
    options.rule = ThresholdRule::kFalseAlarmRate;
  }
  const auto step = [&](std::int64_t done, std::int64_t total) {
    if (observer.stopped()) throw Error("interrupted; the bank is as it was");
    observer.advance("calibrating", done, total);
  };
  try {
    bank.calibration = nagl::calibrate(backbone, bank, {}, options, batch_size, step);
  } catch (const DataError& error) {
    observer.warn(
        fmt::format("{}; {}", error.what(),
                    comparable ? "the thresholds stay as they were" : "calibrate the bank again"));
    if (comparable) bank.calibration = before.calibration;
  }
}

std::string described_change(const FeedbackResult& result) {
  return fmt::format("feedback: {} reference{}, {} defect{}{}", result.references,
                     result.references == 1 ? "" : "s", result.defects,
                     result.defects == 1 ? "" : "s",
                     result.corrected > 0 ? fmt::format(", {} taken out", result.corrected) : "");
}

}  // namespace

Json FeedbackResult::json() const {
  Json json;
  const auto verdict = [](Verdict given) {
    return given == Verdict::kUnknown ? Json(nullptr) : Json(to_string(given));
  };
  const auto score = [](const std::optional<double>& given) {
    return given ? Json(*given) : Json(nullptr);
  };
  json["pictures"] = Json::array();
  for (const auto& picture : pictures) {
    json["pictures"].push_back({{"path", picture.path},
                                {"decision", picture.anomalous ? "bad" : "good"},
                                {"learnt", picture.learnt},
                                {"score_before", score(picture.score_before)},
                                {"score_after", score(picture.score_after)},
                                {"verdict_before", verdict(picture.before)},
                                {"verdict_after", verdict(picture.after)}});
  }
  json["references"] = references;
  json["defects"] = defects;
  json["corrected"] = corrected;
  json["worse"] = worse;
  json["kept"] = kept;
  json["calibration"] = calibration ? option_to_json(*calibration) : Json(nullptr);
  return json;
}

FeedbackResult give_feedback(const FeedbackOptions& options, const JobObserver& observer) {
  auto asked = asked_decisions(options, observer);
  const FileLock lock = FileLock::on_file(options.bank, "changing the bank");
  AtomicFile probe(options.bank);  // never committed: what cannot be written is said at once
  Bank bank = load_bank(options.bank, device_of(options.runtime));
  BankRequest request;
  request.encoding = options.encoding;
  const PictureEncoder encoder =
      encoder_as_made(options.bank, bank, request, options.runtime, observer);
  const auto backbone = encoder.shared_backbone();
  auto [decided, unread] = gather(bank, std::move(asked), encoder, observer);

  FeedbackResult result;
  Judge before(backbone, bank, encoder.batch_size());
  for (const auto& one : decided) {
    JudgedPicture judged;
    judged.path = one.decision.path;
    judged.anomalous = one.decision.anomalous;
    judged.score_before = before.score(one, judged.before);
    result.pictures.push_back(std::move(judged));
  }
  Bank made = taught(
      backbone, bank, decided, encoder.batch_size(),
      [&](const Decided& one) {
        return options.hot_patches ? before.hot_patches(one) : std::vector<at::Tensor>();
      },
      result, observer);
  result.changed = result.references + result.defects + result.corrected > 0;
  made.decisions = unread;
  for (const auto& one : decided) made.decisions.push_back(one.decision);
  const bool other_rule =
      options.rule && bank.calibration && bank.calibration->options.rule != *options.rule;
  if (result.changed || other_rule) {
    calibrate_again(backbone, bank, made, options.rule, encoder.batch_size(), observer);
  } else {
    made.calibration = bank.calibration;
  }
  result.calibration = made.shown_calibration();
  Judge after(backbone, made, encoder.batch_size());
  for (std::size_t i = 0; i < decided.size(); ++i) {
    JudgedPicture& judged = result.pictures[i];
    judged.score_after = after.score(decided[i], judged.after);
    result.worse += judged.right_before() && judged.score_after && !judged.right_after();
  }
  if (result.worse > 0 && !options.force) return result;
  save_change(options.bank, made, *backbone, described_change(result), options.keep);
  result.kept = true;
  return result;
}

}  // namespace nagl::jobs
