#pragma once

#include <filesystem>
#include <vector>

#include "nagl/dataset/dataset.h"
#include "nagl/evaluation/evaluator.h"

namespace nagl::apps {

/// What `nagl evaluate` scores, and how: the group `evaluation` of an experiment's options.
struct EvaluateOptions {
  std::vector<std::filesystem::path> data;  ///< data sets, or categories of them: the target
  DatasetFormat format = DatasetFormat::kAuto;
  std::filesystem::path model;       ///< of nagl train, for method nagl
  std::filesystem::path references;  ///< results of an evaluation whose references are used again
  /// No methods stand for all that can be scored: `nagl` with a model, the abnormal ones with
  /// shots.
  EvaluationOptions evaluation{.methods = {}};

  template <typename Self, typename Visit>
  static void fields(Self& self, Visit&& visit) {
    visit("data", self.data);
    visit("format", self.format);
    visit("model", self.model);
    visit("references", self.references);
    EvaluationOptions::fields(self.evaluation, visit);
  }
};

}  // namespace nagl::apps
