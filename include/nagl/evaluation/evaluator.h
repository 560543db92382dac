#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <opencv2/core/mat.hpp>
#include <optional>

#include "nagl/dataset/region_of_interest.h"
#include "nagl/detection/bank_options.h"
#include "nagl/encoding/picture_encoder.h"
#include "nagl/evaluation/evaluation_options.h"
#include "nagl/evaluation/results.h"
#include "nagl/model/trained_head.h"

namespace nagl {

/// What an evaluation tells while it goes on; any may be empty.
struct EvaluationObserver {
  std::function<void(std::int64_t done, std::int64_t total)> picture;  ///< of this category
  /// Asked after each picture; true ends the evaluation.
  std::function<bool()> stop;
  /// Given the map of each picture that has no truth (`Category::unlabelled`), by the first draw
  /// and the last method, and the threshold that validation pictures give. Empty: they are not
  /// scored.
  std::function<void(const std::string& split, const std::filesystem::path& picture,
                     const cv::Mat& map, double pixel_cut)>
      unlabelled;
};

/// Scores whole categories under a protocol, each picture as `Detector` scores it against a bank of
/// the same references: tiles, turned references, coresets and regions of interest count. Pictures
/// are encoded once, whatever the number of methods, shots and seeds, and are not kept: memory
/// depends on the number of these and of references, and not on the number of pictures (beyond a
/// score each).
class Evaluator {
 public:
  /// @param head for methods that use one; else may be absent
  /// @param bank how references and queries are treated; its method and turns are not used
  /// @param roi where to look: a mask for all queries, or a folder of them; empty: everywhere
  /// @throws ConfigError if a method needs a head and there is none
  /// @throws ModelError if the head belongs to another backbone, layer or width
  Evaluator(const std::shared_ptr<const Backbone>& backbone, std::optional<TrainedHead> head,
            BankOptions bank, EvaluationOptions options, std::int64_t batch_size,
            const std::filesystem::path& roi = {});

  /// @param replay references to use instead of drawing; null: draw
  /// @param folder where overlays of examples go, below `overlays/`; empty: nowhere
  /// @return nothing if it was stopped
  /// @throws DataError naming the file if a picture cannot be used
  std::optional<CategoryResult> evaluate(const Category& category, const RecordedDraws* replay,
                                         const std::filesystem::path& folder,
                                         const EvaluationObserver& observer = {}) const;

  /// Throws what `evaluate` would for want of references, without any work.
  /// @throws DataError naming the category
  void check_references(const Category& category, const RecordedDraws* replay) const;

  const EvaluationOptions& options() const { return options_; }

 private:
  EvaluationOptions options_;
  BankOptions bank_;
  PictureEncoder encoder_;
  std::optional<TrainedHead> head_;
  RoiFinder roi_;
};

}  // namespace nagl
