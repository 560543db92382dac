#include "nagl/detection/detector.h"

#include <algorithm>
#include <limits>
#include <opencv2/core.hpp>
#include <opencv2/imgproc.hpp>
#include <utility>

#include "nagl/core/error.h"
#include "nagl/image/anomaly_map.h"

namespace nagl {
namespace {

/// The bank, with its tensors where the backbone is.
Bank settled(Bank bank, const Backbone& backbone) {
  const at::Device device = backbone.device();
  bank.options.check();
  backbone.check_image_size(bank.options.image_size.height, bank.options.image_size.width);
  HeadOrigin here{backbone.name(), "", backbone.layer(), backbone.width()};
  if (!bank.origin.backbone_checksum.empty()) here.backbone_checksum = backbone.checksum();
  bank.origin.check_equals(here, "bank");
  if (bank.head) bank.head->head->to(device);
  ReferenceFeatures& features = bank.features;
  features.normal = features.normal.to(device);
  if (features.abnormal.defined()) {
    features.abnormal = features.abnormal.to(device);
    features.patch_mask = features.patch_mask.to(device);
  }
  return bank;
}

/// The patches in which an ROI has any pixel; maybe none.
at::Tensor patches_inside(const cv::Mat& roi, ImageSize size, std::int64_t patch) {
  // By area, so that a region thinner than a pixel of the network's size is not lost.
  cv::Mat fractions;
  cv::Mat marked(roi.size(), CV_32F, cv::Scalar(0));
  marked.setTo(1, roi > 0);
  cv::resize(marked, fractions,
             cv::Size(static_cast<int>(size.width), static_cast<int>(size.height)), 0, 0,
             cv::INTER_AREA);
  return mask_to_patches(at::from_blob(fractions.data, {size.height, size.width}, at::kFloat),
                         patch);
}

}  // namespace

std::string to_string(Verdict verdict) {
  return verdict == Verdict::kUnknown  ? "unknown"
         : verdict == Verdict::kNormal ? "normal"
                                       : "anomalous";
}

/// What is known so far of one picture, tile by tile.
class Detector::Scored {
 public:
  Scored(const Detector& detector, const Query& query)
      : detector_(detector),
        query_(query),
        tiles_(cut_into_tiles(query.image.rgb.size(), detector.options().tiling)),
        stitcher_(tiles_) {
    if (query.roi.empty()) {
      for (std::size_t i = 0; i < tiles_.count(); ++i) wanted_.push_back(i);
      return;
    }
    const ImageSize size = detector.options().image_size;
    // By area where it shrinks, so that what is thinner than a pixel is not lost.
    const cv::Size picture = query.image.rgb.size();
    cv::resize(query.roi > 0, roi_, picture, 0, 0,
               query.roi.cols > picture.width ? cv::INTER_AREA : cv::INTER_NEAREST);
    for (std::size_t i = 0; i < tiles_.count(); ++i) {
      // Of a whole picture the ROI counts as it is: a resized one may have lost thin lines.
      const cv::Mat own = tiles_.count() > 1 ? roi_(tiles_.at(i)) : query.roi;
      inside_.push_back(patches_inside(own, size, detector.backbone().patch()));
      if (inside_.back().any().item<bool>()) wanted_.push_back(i);
    }
    if (wanted_.empty()) {
      throw DataError("the region of interest of '" + query.image.path.string() +
                      "' is empty; mark where to look with values above 0");
    }
  }

  /// Tiles to score; one, without tiling.
  const std::vector<std::size_t>& wanted() const { return wanted_; }

  at::Tensor pixels(std::size_t tile) const {
    return preprocess({query_.image.rgb(tiles_.at(tile)), {}, false},
                      detector_.options().image_size, detector_.backbone().device());
  }

  /// @param scores [h * w] of a tile, on the CPU
  void add(std::size_t tile, const at::Tensor& scores) {
    const PatchGrid grid = detector_.grid();
    at::Tensor shown = scores, kept = scores;
    double score = 0;
    if (inside_.empty()) {
      score = image_score(scores);
    } else {
      const at::Tensor& inside = inside_[tile];
      const at::Tensor counted = scores.masked_select(inside);
      score = image_score(counted);
      // Outside, the lowest score inside keeps the interpolation from bringing in what is left out.
      lowest_ = std::min(lowest_, counted.min().item<double>());
      shown = at::where(inside, scores, counted.min());
      kept = at::where(inside, scores, at::zeros_like(scores));
    }
    detection_.image_score = std::max(detection_.image_score, score);
    stitcher_.add(tile, shown.reshape({grid.rows, grid.columns}));
    if (patch_scores_.empty()) patch_scores_.resize(tiles_.count());
    patch_scores_[tile] = kept.reshape({grid.rows, grid.columns}).clone();
  }

  Detection finish() {
    const PatchGrid grid = detector_.grid();
    for (std::size_t i = 0; i < patch_scores_.size(); ++i) {
      if (patch_scores_[i].defined()) continue;  // a tile outside the ROI
      patch_scores_[i] = at::zeros({grid.rows, grid.columns});
      stitcher_.add(i, at::full({grid.rows, grid.columns}, lowest_, at::kFloat));
    }
    detection_.patch_scores =
        patch_scores_.size() == 1 ? patch_scores_.front() : at::stack(patch_scores_);
    detection_.map = stitcher_.take();
    if (!roi_.empty()) detection_.map.setTo(0, roi_ == 0);
    if (const auto& calibration = detector_.bank().calibration) {
      detection_.verdict = detection_.image_score > calibration->image_threshold
                               ? Verdict::kAnomalous
                               : Verdict::kNormal;
      detection_.regions = regions_above(detection_.map, calibration->map_threshold);
    }
    return std::move(detection_);
  }

 private:
  const Detector& detector_;
  const Query& query_;
  TileGrid tiles_;
  AnomalyMapStitcher stitcher_;
  cv::Mat roi_;                     ///< of the picture's size; empty: everywhere
  std::vector<at::Tensor> inside_;  ///< the patches inside it, by tile
  std::vector<std::size_t> wanted_;
  std::vector<at::Tensor> patch_scores_;
  double lowest_ = std::numeric_limits<double>::infinity();
  Detection detection_;
};

Detector::Detector(std::shared_ptr<const Backbone> backbone, Bank bank, std::int64_t batch_size)
    : backbone_(std::move(backbone)),
      bank_(settled(std::move(bank), *backbone_)),
      batch_size_(batch_size),
      grid_{bank_.options.image_size.height / backbone_->patch(),
            bank_.options.image_size.width / backbone_->patch()},
      references_(bank_.features, bank_.head ? bank_.head->head : NaglHead(nullptr), grid_,
                  backbone_->precision()) {
  references_.check(bank_.options.method);
}

Detection Detector::detect(const Query& query) const {
  return std::move(detect(std::span<const Query>(&query, 1)).front());
}

std::vector<Detection> Detector::detect(std::span<const Query> queries) const {
  const c10::InferenceMode guard;
  std::vector<Detection> detections;
  // A picture is finished once its last tile is scored, so only those of one pass are in the
  // making.
  std::vector<std::unique_ptr<Scored>> open;
  std::vector<std::pair<Scored*, std::size_t>> waiting;
  std::vector<at::Tensor> pixels;
  const auto score_waiting = [&] {
    const at::Tensor scores =
        references_.score(backbone_->encode(at::stack(pixels)), options().method).to(at::kCPU);
    if (!at::isfinite(scores).all().item<bool>()) {
      throw ModelError(
          "the backbone '" + backbone_->path().string() +
          "' gives scores that are not finite; try --precision float32, or fetch it again");
    }
    for (std::size_t i = 0; i < waiting.size(); ++i) {
      waiting[i].first->add(waiting[i].second, scores[static_cast<std::int64_t>(i)]);
    }
    waiting.clear();
    pixels.clear();
  };
  for (const auto& query : queries) {
    open.push_back(std::make_unique<Scored>(*this, query));
    Scored& picture = *open.back();
    for (const auto tile : picture.wanted()) {
      waiting.emplace_back(&picture, tile);
      pixels.push_back(picture.pixels(tile));
      if (static_cast<std::int64_t>(waiting.size()) == batch_size_) score_waiting();
    }
    const bool last = &query == &queries.back();
    if (last && !waiting.empty()) score_waiting();
    if (!waiting.empty()) continue;
    for (auto& done : open) detections.push_back(done->finish());
    open.clear();
  }
  return detections;
}

at::Tensor Detector::roi_patches(const cv::Mat& roi) const {
  const at::Tensor inside = patches_inside(roi, options().image_size, backbone_->patch());
  if (!inside.any().item<bool>()) {
    throw DataError("a region of interest is empty; mark where to look with values above 0");
  }
  return inside;
}

}  // namespace nagl
