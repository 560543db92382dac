#include "nagl/detection/detector.h"

#include <opencv2/core.hpp>
#include <opencv2/imgproc.hpp>
#include <utility>

#include "nagl/core/error.h"
#include "nagl/image/anomaly_map.h"

namespace nagl {
namespace {

/// Encodes pictures as they come, in batches.
class BatchEncoder {
 public:
  BatchEncoder(const Backbone& backbone, std::int64_t batch_size)
      : backbone_(backbone), batch_size_(batch_size) {}

  void add(at::Tensor picture) {
    waiting_.push_back(std::move(picture));
    if (static_cast<std::int64_t>(waiting_.size()) >= batch_size_) flush();
  }

  /// [K, N, C]; undefined if nothing was added.
  at::Tensor take() {
    flush();
    return features_.empty() ? at::Tensor() : at::cat(std::exchange(features_, {}));
  }

 private:
  void flush() {
    if (!waiting_.empty()) features_.push_back(backbone_.encode(at::stack(waiting_)));
    waiting_.clear();
  }

  const Backbone& backbone_;
  std::int64_t batch_size_;
  std::vector<at::Tensor> waiting_, features_;
};

}  // namespace

ReferenceBank make_reference_bank(const Backbone& backbone, const ReferencePaths& references,
                                  const DetectorOptions& options, std::int64_t batch_size,
                                  const TrainedHead* head,
                                  const std::function<void(const Image&)>& seen) {
  const c10::InferenceMode guard;
  const ImageSize size = options.image_size;
  backbone.check_image_size(size.height, size.width);
  if (head != nullptr) head->origin.check_equals(origin_of(backbone), head->path);
  const PatchGrid grid{size.height / backbone.patch(), size.width / backbone.patch()};
  BatchEncoder encoder(backbone, batch_size);
  const auto read = [&](const std::filesystem::path& path) {
    Image image = read_image(path, options.decode);
    if (seen) seen(image);
    return image;
  };
  for (const auto& path : references.normal) encoder.add(preprocess(read(path), size));
  at::Tensor normal = encoder.take();
  if (!normal.defined()) normal = at::empty({0, grid.size(), backbone.width()});

  std::vector<at::Tensor> masks;
  for (const auto& reference : references.abnormal) {
    auto input = prepare_masked(read(reference.picture), reference.masks, size, backbone.patch(),
                                options.mask_alignment);
    if (!input.patch_mask.any().item<bool>()) {
      throw DataError("the mask '" + reference.masks.front().string() + "' of '" +
                      reference.picture.string() +
                      "' marks nothing at the network's size; draw the defect, or leave the "
                      "picture out");
    }
    masks.push_back(input.patch_mask);
    encoder.add(std::move(input.pixels));
  }
  return ReferenceBank(normal, encoder.take(), masks.empty() ? at::Tensor() : at::stack(masks),
                       head != nullptr ? head->head : NaglHead(nullptr), grid);
}

Detector::Detector(std::shared_ptr<const Backbone> backbone, ReferenceBank bank,
                   DetectorOptions options)
    : backbone_(std::move(backbone)), bank_(std::move(bank)), options_(options) {
  backbone_->check_image_size(options_.image_size.height, options_.image_size.width);
  bank_.check(options_.method);
}

Detection Detector::detect(const Query& query) const {
  return std::move(detect(std::span<const Query>(&query, 1)).front());
}

std::vector<Detection> Detector::detect(std::span<const Query> queries) const {
  const c10::InferenceMode guard;
  std::vector<at::Tensor> pictures;
  for (const auto& query : queries) {
    pictures.push_back(preprocess(query.image, options_.image_size));
  }
  std::vector<Detection> detections;
  if (pictures.empty()) return detections;
  const at::Tensor scores =
      bank_.score(backbone_->encode(at::stack(pictures)), options_.method).to(at::kCPU);
  if (!at::isfinite(scores).all().item<bool>()) {
    throw ModelError(
        "the backbone '" + backbone_->path().string() +
        "' gives scores that are not finite; try --precision float32, or fetch it again");
  }
  for (std::size_t i = 0; i < queries.size(); ++i) {
    detections.push_back(finish(queries[i], scores[static_cast<std::int64_t>(i)]));
  }
  return detections;
}

at::Tensor Detector::roi_patches(const cv::Mat& roi) const {
  // By area, so that a region thinner than a pixel of the network's size is not lost.
  cv::Mat fractions;
  const ImageSize size = options_.image_size;
  cv::Mat marked(roi.size(), CV_32F, cv::Scalar(0));
  marked.setTo(1, roi > 0);
  cv::resize(marked, fractions,
             cv::Size(static_cast<int>(size.width), static_cast<int>(size.height)), 0, 0,
             cv::INTER_AREA);
  const at::Tensor inside = mask_to_patches(
      at::from_blob(fractions.data, {size.height, size.width}, at::kFloat), backbone_->patch());
  if (!inside.any().item<bool>()) {
    throw DataError("a region of interest is empty; mark where to look with values above 0");
  }
  return inside;
}

Detection Detector::finish(const Query& query, const at::Tensor& patch_scores) const {
  const std::int64_t patch = backbone_->patch();
  const std::int64_t rows = options_.image_size.height / patch;
  const std::int64_t columns = options_.image_size.width / patch;
  const cv::Size size = query.image.rgb.size();
  Detection detection;
  if (query.roi.empty()) {
    detection.image_score = image_score(patch_scores);
    detection.patch_scores = patch_scores.reshape({rows, columns}).clone();
    detection.map = make_anomaly_map(detection.patch_scores, size);
    return detection;
  }
  const at::Tensor inside = roi_patches(query.roi);
  const at::Tensor counted = patch_scores.masked_select(inside);
  detection.image_score = image_score(counted);
  // Outside, the lowest score inside keeps the interpolation from bringing in what is left out.
  const at::Tensor quiet = at::where(inside, patch_scores, counted.min());
  detection.map = make_anomaly_map(quiet.reshape({rows, columns}), size);
  cv::Mat roi;
  cv::resize(query.roi, roi, size, 0, 0, cv::INTER_NEAREST);
  detection.map.setTo(0, roi == 0);
  detection.patch_scores =
      at::where(inside, patch_scores, at::zeros_like(patch_scores)).reshape({rows, columns});
  return detection;
}

}  // namespace nagl
