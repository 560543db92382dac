#pragma once

#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "nagl/jobs/experiment.h"
#include "nagl/jobs/observer.h"
#include "nagl/jobs/requests.h"
#include "nagl/jobs/runtime.h"
#include "nagl/jobs/sharding.h"

namespace nagl::jobs {

/// What a training is to do. Options build upon each other: the defaults (or those of the training
/// that goes on), the file, what was asked for, the settings.
struct TrainRequest {
  std::filesystem::path out;                ///< folder of the training
  std::filesystem::path store;              ///< folder of encoded pictures; empty: `out`/features
  bool resume = false;                      ///< go on where the training in `out` stopped
  std::filesystem::path config;             ///< an experiment's file; empty: none
  std::vector<std::filesystem::path> data;  ///< source; empty: as the file says
  std::optional<DatasetFormat> format;
  std::optional<std::string> modality;
  EncodingRequest encoding;
  std::vector<std::string> settings;  ///< `section.key=value`
  RuntimeOptions runtime;
  ShardRequest sharding;
};

/// What a training tells while it goes on, beside what every job does.
struct TrainObserver : JobObserver {
  std::function<void(const EpochRecord& record, std::int64_t epochs)> epoch;  ///< may be empty
};

/// What came of it.
struct TrainResult {
  std::vector<EpochRecord> history;
  std::optional<EpochRecord> best;  ///< nothing without a validation
  std::filesystem::path model, curve;
  bool encoded_only = false;  ///< of several shards, all but the first leave the training to it
};

/// Trains on a source domain: encodes its pictures once, into a feature store, and learns from
/// episodes of them. A training that was interrupted goes on to the same weights.
/// @throws Error naming what is wrong; Error too when it was stopped, with how to go on
TrainResult train_on(const TrainRequest& request, const TrainObserver& observer = {});

}  // namespace nagl::jobs
