#include "nagl/detection/detector.h"

#include <fmt/format.h>

#include <opencv2/core.hpp>
#include <optional>
#include <utility>

#include "nagl/core/error.h"
#include "nagl/detection/failure.h"

namespace nagl {
namespace {

/// The bank, with its tensors where the backbone is.
Bank settled(Bank bank, const Backbone& backbone) {
  const c10::InferenceMode guard;
  bank.options.check();
  backbone.check_image_size(bank.options.encoding.image_size.height,
                            bank.options.encoding.image_size.width);
  check_origin(bank, backbone);
  return bank.on(backbone.device());
}

ScoringTarget target_of(const Bank& bank, const PictureEncoder& encoder) {
  const auto references = std::make_shared<ReferenceBank>(
      bank.features, bank.head ? bank.head->head : NaglHead(nullptr), encoder.grid(),
      encoder.backbone().precision(), bank.options.discriminant);
  references->check(bank.options.method);
  references->record_scoring();
  return {references, {bank.options.method}, bank.options.top_share};
}

}  // namespace

Detector::Detector(std::shared_ptr<const Backbone> backbone, Bank bank, std::int64_t batch_size,
                   const std::optional<Thresholds>& thresholds)
    : bank_(settled(std::move(bank), *backbone)),
      encoder_(std::move(backbone), bank_.options.encoding, batch_size),
      target_(target_of(bank_, encoder_)),
      thresholds_(thresholds) {
  if (!thresholds_ && bank_.calibration) thresholds_ = thresholds_of(*bank_.calibration);
  if (!bank_.probe_scores.defined()) return;
  const at::Tensor& counted = bank_.features.counted;
  const at::Tensor scores =
      counted.defined() ? bank_.probe_scores.index({at::indexing::Slice(), counted.to(at::kCPU)})
                        : bank_.probe_scores;
  usual_ = scores.median().item<double>();
}

Detection Detector::detect(const Query& query) const {
  return std::move(detect(std::span<const Query>(&query, 1)).front());
}

std::vector<Detection> Detector::detect(std::span<const Query> queries) const {
  std::vector<Detection> detections;
  DetectionStream stream(*this,
                         [&](Detection detection) { detections.push_back(std::move(detection)); });
  for (const auto& query : queries) stream.add(query);
  stream.finish();
  return detections;
}

PictureScores Detector::score(const Query& query, const std::vector<at::Tensor>& known) const {
  PictureScores found;
  Scorer scorer(encoder_);
  scorer.add(
      within(query, bank_.roi), {target_},
      [&](std::vector<PictureScores> scores) { found = std::move(scores.front()); }, known);
  scorer.flush();
  return found;
}

Detection Detector::detection_of(const PictureScores& scores) const {
  Detection detection;
  detection.scores = scores;
  detection.image_score = scores.image_score();
  detection.patch_scores = scores.patch_scores();
  cv::Mat map = scores.raw_map();
  detection.verdict = verdict_of(scores.raw_image_score(), thresholds_);
  if (thresholds_) {
    const RegionRules rules = region_rules(thresholds_->map, usual_, thresholds_->least_area);
    // Outside, `raw_map` has the lowest score inside, which may well be above the threshold.
    const cv::Mat& roi = scores.roi();
    if (!roi.empty()) map.setTo(rules.growth, (roi == 0) & (map > rules.growth));
    detection.regions = find_regions(map, rules, &detection.region_mask);
  }
  detection.map = scores.shown_map(std::move(map));
  for (auto& region : detection.regions) {
    region.peak_score = shown_score(region.peak_score, scores.range());
    region.mean_score = shown_score(region.mean_score, scores.range());
  }
  return detection;
}

at::Tensor Detector::roi_patches(const cv::Mat& roi) const {
  const at::Tensor inside = patches_inside(encoder_, roi);
  if (!inside.any().item<bool>()) {
    throw DataError("a region of interest is empty; mark where to look with values above 0");
  }
  return inside;
}

void DetectionStream::add(const Query& query) {
  const std::filesystem::path path = query.image.path;
  scorer_.add(within(query, detector_.bank().roi), {detector_.target()},
              [this, path](std::vector<PictureScores> scores) {
                std::optional<Detection> detection;
                const auto failure =
                    failure_of([&] { detection = detector_.detection_of(scores.front()); });
                if (failure) throw DataError(fmt::format("'{}' {}", path.string(), *failure));
                done_(std::move(*detection));
              });
}

}  // namespace nagl
