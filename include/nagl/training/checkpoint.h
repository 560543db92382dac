#pragma once

#include <torch/optim/adamw.h>

#include <array>
#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "nagl/core/torch.h"
#include "nagl/model/weights.h"
#include "nagl/nn/nagl_head.h"
#include "nagl/training/validation.h"

namespace nagl {

/// The mean losses of one epoch, and its validation.
struct EpochRecord {
  std::int64_t epoch = 0;    ///< from 1
  double learning_rate = 0;  ///< of its last step
  double loss = 0, classification = 0, focal = 0, dice = 0;
  std::optional<ValidationMetrics> validation;
  bool best = false;               ///< the best validation so far
  double seconds = 0;              ///< with validation; of the last sitting, if it was interrupted
  double episodes_per_second = 0;  ///< without validation
};

Json to_json(const EpochRecord& record);
EpochRecord epoch_record_from_json(const Json& json);

/// Where a training stands.
struct TrainerState {
  std::int64_t epoch = 0;  ///< the epoch to go on with, from 0
  std::int64_t step = 0;   ///< its step to go on with
  /// Losses of the epoch's episodes so far: classification, focal, Dice.
  std::vector<std::array<float, 3>> losses;
  std::vector<EpochRecord> history;
  std::int64_t threads = 0;  ///< that the checkpoint was written with

  /// The best epoch's record; null without a validation.
  const EpochRecord* best() const;
};

/// Writes all that going on needs: weights, optimiser state and position, atomically.
/// @param metadata also goes into the file
void write_checkpoint(const std::filesystem::path& path, const NaglHead& head,
                      torch::optim::AdamW& optimizer, const TrainerState& state,
                      std::map<std::string, std::string> metadata);

/// Reads it back into `head` and `optimizer`.
/// @throws ModelError if the file is damaged, or its tensors do not fit the head
TrainerState read_checkpoint(const WeightsFile& file, NaglHead& head,
                             torch::optim::AdamW& optimizer);

}  // namespace nagl
