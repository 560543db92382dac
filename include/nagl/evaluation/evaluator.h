#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "nagl/core/options.h"
#include "nagl/detection/detector.h"
#include "nagl/evaluation/protocol.h"
#include "nagl/evaluation/results.h"
#include "nagl/model/trained_head.h"

namespace nagl {

/// What an evaluation does; all combinations of methods, shots and seeds are scored.
struct EvaluationOptions {
  Protocol protocol = Protocol::kStrict;
  std::vector<Method> methods = {Method::kNormalNn};
  std::vector<std::int64_t> normal_shots = {1};    ///< K1
  std::vector<std::int64_t> abnormal_shots = {1};  ///< K2; kOneOfEach: one of each defect type
  std::int64_t seeds = 3;                          ///< 0, 1, ..., seeds - 1
  double pro_limit = 0.3;     ///< largest false-positive rate that PRO looks at
  std::int64_t examples = 4;  ///< overlays of each kind a category; 0: none

  /// Throws ConfigError on a value out of range.
  void check() const;

  template <typename Self, typename Visit>
  static void fields(Self& self, Visit&& visit) {
    visit("protocol", self.protocol);
    visit("methods", self.methods);
    visit("normal_shots", self.normal_shots);
    visit("abnormal_shots", self.abnormal_shots);
    visit("seeds", self.seeds);
    visit("pro_limit", self.pro_limit);
    visit("examples", self.examples);
  }
};

/// What an evaluation tells while it goes on; any may be empty.
struct EvaluationObserver {
  std::function<void(std::int64_t done, std::int64_t total)> picture;  ///< of this category
  /// Asked after each picture; true ends the evaluation.
  std::function<bool()> stop;
};

/// Scores whole categories under a protocol. Pictures are encoded once, whatever the number of
/// methods, shots and seeds, and are not kept: memory depends on the number of these, and not on
/// the number of pictures (beyond a score each).
class Evaluator {
 public:
  /// @param head for Method::kNagl; else may be absent
  /// @param detection image size, decoding and mask alignment; its method is not used
  /// @throws ConfigError if a method needs a head and there is none
  /// @throws ModelError if the head belongs to another backbone, layer or width
  Evaluator(std::shared_ptr<const Backbone> backbone, std::optional<TrainedHead> head,
            DetectorOptions detection, EvaluationOptions options, std::int64_t batch_size);

  /// @param replay references to use instead of drawing; null: draw
  /// @param folder where overlays of examples go, below `overlays/`; empty: nowhere
  /// @return nothing if it was stopped
  /// @throws DataError naming the file if a picture cannot be used
  std::optional<CategoryResult> evaluate(const Category& category, const ReferenceList* replay,
                                         const std::filesystem::path& folder,
                                         const EvaluationObserver& observer = {}) const;

  /// Throws what `evaluate` would for want of references, without any work.
  /// @throws DataError naming the category
  void check_references(const Category& category, const ReferenceList* replay) const;

  const EvaluationOptions& options() const { return options_; }

 private:
  std::shared_ptr<const Backbone> backbone_;
  std::optional<TrainedHead> head_;
  DetectorOptions detection_;
  EvaluationOptions options_;
  std::int64_t batch_size_;
};

}  // namespace nagl
