#pragma once

#include "evaluate_options.h"
#include "train_options.h"

namespace nagl::apps {

/// What a file for `--config` may say: how to train on a source, and under `evaluation` what to do
/// on a target. `nagl train` and `nagl evaluate` take the same file, so that it stands for an
/// experiment; layer, precision and pictures serve both.
struct ExperimentOptions {
  TrainOptions training;
  EvaluateOptions evaluation;

  template <typename Self, typename Visit>
  static void fields(Self& self, Visit&& visit) {
    TrainOptions::fields(self.training, visit);
    visit("evaluation", self.evaluation);
  }
};

}  // namespace nagl::apps
