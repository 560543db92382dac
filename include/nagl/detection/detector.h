#pragma once

#include <torch/torch.h>

#include <filesystem>
#include <functional>
#include <memory>
#include <opencv2/core/mat.hpp>
#include <optional>
#include <span>
#include <vector>

#include "nagl/image/image.h"
#include "nagl/image/preprocess.h"
#include "nagl/model/backbone.h"
#include "nagl/model/reference_bank.h"
#include "nagl/model/trained_head.h"

namespace nagl {

/// How pictures become scores.
struct DetectorOptions {
  Method method = Method::kNormalNn;
  ImageSize image_size;  ///< pictures are resized to this, whatever their proportions
  MaskAlignment mask_alignment = MaskAlignment::kAligned;
  DecodeOptions decode;
};

/// A picture to look at, and optionally where to look.
struct Query {
  Image image;
  cv::Mat roi;  ///< uint8 [H, W] of the picture's proportions, above 0 where to look; empty: all
};

/// What was seen in one picture.
struct Detection {
  double image_score = 0;   ///< [0, 1], mean of the top 1 % of patch scores
  cv::Mat map;              ///< float32 [H, W] of the picture's size, [0, 1]; 0 outside the ROI
  at::Tensor patch_scores;  ///< [h, w] float32, on the CPU; 0 outside the ROI
};

/// Reference pictures by path.
struct ReferencePaths {
  std::vector<std::filesystem::path> normal;
  std::vector<MaskedPicture> abnormal;
};

/// Encodes reference pictures once, `batch_size` at a time; `seen`, where given, is called with
/// each picture as it was read.
/// @param head RM and AFL on the backbone's device, for Method::kNagl; null for the others
/// @throws DataError naming the file if a picture cannot be read, or a mask marks no patch
/// @throws ModelError if the head belongs to another backbone, layer or width
ReferenceBank make_reference_bank(const Backbone& backbone, const ReferencePaths& references,
                                  const DetectorOptions& options, std::int64_t batch_size,
                                  const TrainedHead* head = nullptr,
                                  const std::function<void(const Image&)>& seen = {});

/// Pictures in, detections out. Safe to use from several threads.
class Detector {
 public:
  /// @throws ConfigError if the image size does not suit the backbone or the bank lacks references
  ///         that the method needs
  Detector(std::shared_ptr<const Backbone> backbone, ReferenceBank bank, DetectorOptions options);

  Detection detect(const Query& query) const;
  /// One backbone pass for all of them. @throws DataError naming the picture if an ROI leaves
  /// nothing
  /// @throws ModelError if scores are not finite (weights or precision that do not fit)
  std::vector<Detection> detect(std::span<const Query> queries) const;

  /// The patches in which an ROI has any pixel. @param roi uint8 [H, W], above 0 inside
  /// @return [h * w] bool @throws DataError if there is none
  at::Tensor roi_patches(const cv::Mat& roi) const;

  const Backbone& backbone() const { return *backbone_; }
  const ReferenceBank& bank() const { return bank_; }
  const DetectorOptions& options() const { return options_; }

 private:
  Detection finish(const Query& query, const at::Tensor& patch_scores) const;

  std::shared_ptr<const Backbone> backbone_;
  ReferenceBank bank_;
  DetectorOptions options_;
};

}  // namespace nagl
