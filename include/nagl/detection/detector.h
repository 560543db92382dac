#pragma once

#include <torch/torch.h>

#include <memory>
#include <opencv2/core/mat.hpp>
#include <span>
#include <string>
#include <vector>

#include "nagl/detection/bank.h"
#include "nagl/detection/regions.h"
#include "nagl/image/image.h"
#include "nagl/image/tiling.h"
#include "nagl/model/backbone.h"
#include "nagl/model/reference_bank.h"

namespace nagl {

/// A picture to look at, and optionally where to look.
struct Query {
  Query() = default;
  Query(Image picture, cv::Mat where = {}) : image(std::move(picture)), roi(std::move(where)) {}

  Image image;
  cv::Mat roi;  ///< uint8 [H, W] of the picture's proportions, above 0 where to look; empty: all
};

/// What a picture is called, by the threshold of its bank's calibration.
enum class Verdict {
  kUnknown,  ///< the bank is not calibrated
  kNormal,
  kAnomalous,
};

/// `unknown`, `normal`, `anomalous`.
std::string to_string(Verdict verdict);

/// What was seen in one picture.
struct Detection {
  double image_score = 0;   ///< [0, 1], mean of the top 1 % of patch scores; of tiles, the largest
  cv::Mat map;              ///< float32 [H, W] of the picture's size, [0, 1]; 0 outside the ROI
  at::Tensor patch_scores;  ///< [h, w] float32 on the CPU, [tiles, h, w] of a picture with several;
                            ///< 0 outside the ROI
  Verdict verdict = Verdict::kUnknown;
  std::vector<Region> regions;  ///< of the map above the calibration's threshold, hottest first
};

/// Pictures in, detections out. Immutable, so safe to use from several threads at once; they share
/// the backbone and the bank, and Torch's own threads too (`at::set_num_threads(1)` in each thread
/// of the caller's keeps them from waiting for each other).
class Detector {
 public:
  /// @param batch_size pictures or tiles a backbone pass, at most
  /// @throws ConfigError if the bank lacks references that its method needs
  /// @throws ModelError if the bank belongs to another backbone, layer or width
  Detector(std::shared_ptr<const Backbone> backbone, Bank bank, std::int64_t batch_size = 16);

  Detection detect(const Query& query) const;
  /// @throws DataError naming the picture if an ROI leaves nothing
  /// @throws ModelError if scores are not finite (weights or precision that do not fit)
  std::vector<Detection> detect(std::span<const Query> queries) const;

  /// The patches of the network's grid in which an ROI has any pixel.
  /// @param roi uint8 [H, W], above 0 inside
  /// @return [h * w] bool @throws DataError if there is none
  at::Tensor roi_patches(const cv::Mat& roi) const;

  const Backbone& backbone() const { return *backbone_; }
  const Bank& bank() const { return bank_; }
  const ReferenceBank& references() const { return references_; }
  const DetectorOptions& options() const { return bank_.options; }
  PatchGrid grid() const { return grid_; }

 private:
  class Scored;

  std::shared_ptr<const Backbone> backbone_;
  Bank bank_;
  std::int64_t batch_size_;
  PatchGrid grid_;
  ReferenceBank references_;
};

}  // namespace nagl
