#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "nagl/core/json.h"
#include "nagl/evaluation/results.h"
#include "nagl/jobs/experiment.h"
#include "nagl/jobs/observer.h"
#include "nagl/jobs/requests.h"
#include "nagl/jobs/runtime.h"
#include "nagl/jobs/sharding.h"

namespace nagl::jobs {

/// What an evaluation is to do. Options build upon each other: the defaults, the file, what was
/// asked for, the settings.
struct EvaluateRequest {
  std::filesystem::path out;  ///< folder of results
  bool resume = false;        ///< go on with the evaluation in `out`
  /// Folder for maps of pictures without truth, as a benchmark's server takes them; empty: none.
  std::filesystem::path submission;
  std::filesystem::path config;  ///< an experiment's file; empty: none
  std::vector<std::filesystem::path> data;
  std::filesystem::path model, references, roi;
  std::optional<DatasetFormat> format;
  std::optional<std::string> modality;
  std::optional<Protocol> protocol;
  std::vector<Method> methods;
  std::vector<std::int64_t> normal_shots, abnormal_shots;
  std::optional<std::int64_t> seeds;
  ReferenceRequest reference_options;
  EncodingRequest encoding;
  std::vector<std::string> settings;  ///< `section.key=value`
  RuntimeOptions runtime;
  ShardRequest sharding;
};

/// What came of it.
struct EvaluateResult {
  std::vector<CategoryResult> categories;
  Json all;  ///< as in results.json
  Protocol protocol = Protocol::kStrict;
  std::int64_t seeds = 0;
  std::string backbone;  ///< in words
  std::filesystem::path report, tables, numbers;
  std::filesystem::path submission;  ///< the packed one; empty: none was asked for
};

/// Scores a whole benchmark under a protocol and writes tables, files and a report. Categories that
/// are done are kept, so that an evaluation that was interrupted goes on.
/// @throws Error naming what is wrong; Error too when it was stopped, with how to go on
EvaluateResult evaluate_on(const EvaluateRequest& request, const JobObserver& observer = {});

}  // namespace nagl::jobs
