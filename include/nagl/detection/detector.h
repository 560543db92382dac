#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <opencv2/core/mat.hpp>
#include <optional>
#include <span>
#include <vector>

#include "nagl/core/torch.h"
#include "nagl/detection/bank.h"
#include "nagl/detection/query.h"
#include "nagl/detection/regions.h"
#include "nagl/detection/scorer.h"
#include "nagl/detection/verdict.h"
#include "nagl/encoding/picture_encoder.h"

namespace nagl {

/// What was seen in one picture.
struct Detection {
  /// [0, 1], mean of the top patch scores (the share is the method's); of tiles, the largest.
  double image_score = 0;
  cv::Mat map;              ///< float32 [H, W] of the picture's size, [0, 1]; 0 outside the ROI
  at::Tensor patch_scores;  ///< [h, w] float32 on the CPU, [tiles, h, w] of a picture with several;
                            ///< 0 outside the ROI
  Verdict verdict = Verdict::kUnknown;
  std::vector<Region> regions;  ///< of the map, by the thresholds, hottest first
  cv::Mat region_mask;          ///< uint8 [H, W], 255 in the regions; empty without thresholds
  PictureScores scores;         ///< the raw ones that all of this comes from
};

/// Pictures in, detections out. Immutable, so safe to use from several threads at once; they share
/// the backbone and the bank, and Torch's own threads too (`at::set_num_threads(1)` in each thread
/// of the caller's keeps them from waiting for each other).
class Detector {
 public:
  /// @param batch_size pictures or tiles a backbone pass, at most
  /// @param thresholds null: those of the bank's calibration, if it has one
  /// @throws ConfigError if the bank lacks references that its method needs
  /// @throws ModelError if the bank belongs to another backbone, layer or width
  Detector(std::shared_ptr<const Backbone> backbone, Bank bank, std::int64_t batch_size = 16,
           const std::optional<Thresholds>& thresholds = {});

  Detection detect(const Query& query) const;
  /// @throws DataError naming the picture if an ROI leaves nothing
  /// @throws ModelError if scores are not finite (weights or precision that do not fit)
  std::vector<Detection> detect(std::span<const Query> queries) const;

  /// The scores of a picture alone.
  /// @param known by tile, features [N, C] that were encoded before; empty: not
  /// @throws as `detect`
  PictureScores score(const Query& query, const std::vector<at::Tensor>& known = {}) const;

  /// What one method's scores of a picture say, by the thresholds.
  Detection detection_of(const PictureScores& scores) const;

  /// The patches of the network's grid in which an ROI has any pixel.
  /// @param roi uint8 [H, W], above 0 inside
  /// @return [h * w] bool @throws DataError if there is none
  at::Tensor roi_patches(const cv::Mat& roi) const;

  const PictureEncoder& encoder() const { return encoder_; }
  const Backbone& backbone() const { return encoder_.backbone(); }
  const Bank& bank() const { return bank_; }
  const ReferenceBank& references() const { return *target_.references; }
  const ScoringTarget& target() const { return target_; }
  const BankOptions& options() const { return bank_.options; }
  /// What verdicts and regions go by; null: there are none.
  const std::optional<Thresholds>& thresholds() const { return thresholds_; }
  PatchGrid grid() const { return encoder_.grid(); }

 private:
  Bank bank_;
  PictureEncoder encoder_;
  ScoringTarget target_;
  std::optional<Thresholds> thresholds_;
  double usual_ = 0;  ///< raw score of a usual good patch
};

/// Detections of pictures that come one after the other: what `Detector::detect` gives for all of
/// them, but no more maps are held than the caller keeps.
class DetectionStream {
 public:
  /// @param done called in the order of the pictures
  DetectionStream(const Detector& detector, std::function<void(Detection)> done)
      : detector_(detector), done_(std::move(done)), scorer_(detector.encoder()) {}

  /// @throws as `Detector::detect`
  void add(const Query& query);
  /// What waits for its batch to fill.
  void finish() { scorer_.flush(); }

 private:
  const Detector& detector_;
  std::function<void(Detection)> done_;
  Scorer scorer_;
};

}  // namespace nagl
