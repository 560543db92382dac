#include "evaluation_request.h"

#include <fmt/format.h>

#include <set>

#include "nagl/core/error.h"
#include "nagl/core/file_part.h"
#include "nagl/core/sha256.h"
#include "nagl/jobs/encoder_setup.h"

namespace nagl::jobs {
namespace {

namespace fs = std::filesystem;

template <typename T>
void take(std::vector<T>& target, const std::vector<T>& asked) {
  if (!asked.empty()) target = asked;
}

/// Normal and abnormal methods, as far as they can be scored.
std::vector<Method> possible_methods(const TargetOptions& target) {
  std::vector<Method> methods = {Method::kNormalNn};
  const bool shown = target.evaluation.abnormal_shots != std::vector<std::int64_t>{0};
  if (shown) {
    methods.push_back(Method::kAbnormalNn);
    methods.push_back(Method::kBothNn);
  }
  if (!target.model.empty()) {
    methods.push_back(Method::kNagl);
    if (shown) methods.push_back(Method::kNaglStandardised);
  }
  if (shown) methods.push_back(Method::kDiscriminant);
  methods.push_back(Method::kAuto);
  return methods;
}

}  // namespace

BankOptions bank_options(const TargetOptions& target) {
  BankOptions bank;
  bank.coreset = target.coreset;
  bank.discriminant = target.discriminant;
  bank.top_share = target.top_share;
  bank.encoding.tiling = target.tiling;
  return bank;
}

ExperimentOptions resolve(const EvaluateRequest& request) {
  ExperimentOptions experiment;
  read_config_file(experiment, request.config);
  TargetOptions& target = experiment.target;
  EvaluationOptions& options = target.evaluation;
  take(target.data, request.data);
  if (request.format) target.format = *request.format;
  if (request.modality) target.modality = *request.modality;
  if (!request.model.empty()) target.model = request.model;
  if (!request.references.empty()) target.references = request.references;
  if (!request.roi.empty()) target.roi = request.roi;
  if (request.protocol) options.protocol = *request.protocol;
  if (request.seeds) options.seeds = *request.seeds;
  const ReferenceRequest& asked = request.reference_options;
  if (asked.turns || asked.automatic_turns) options.turns = asked.turns;
  const BankOptions references = asked.over(bank_options(target));
  target.coreset = references.coreset;
  target.discriminant = references.discriminant;
  target.top_share = references.top_share;
  if (request.encoding.tile) target.tiling.tile = *request.encoding.tile;
  if (request.encoding.overlap) target.tiling.overlap = *request.encoding.overlap;
  take(options.normal_shots, request.normal_shots);
  take(options.abnormal_shots, request.abnormal_shots);
  take(options.methods, request.methods);
  EncodingRequest encoding = request.encoding;  // tiles are the target's, not the training's
  encoding.tile.reset();
  encoding.overlap.reset();
  experiment.training.encoding = encoding.over(experiment.training.encoding);
  apply_settings(experiment, request.settings);
  if (target.data.empty()) throw ConfigError("nothing to evaluate on; give --data");
  if (options.methods.empty()) options.methods = possible_methods(target);
  options.check();
  bank_options(target).check();
  if (experiment.training.encoding.tiling.tile != 0) {
    throw ConfigError("encoding.tiling.tile is for nothing here; give evaluation.tiling.tile");
  }
  for (auto& root : target.data) root = plain_path(root);
  if (options.protocol == Protocol::kPublished) {
    experiment.training.encoding.mask_alignment = MaskAlignment::kPublished;
  }
  return experiment;
}

std::string files_checksum(const Dataset& dataset, const fs::path& roi,
                           const JobObserver& observer) {
  Sha256 sum;
  std::int64_t total = 0, done = 0;
  for (const auto& category : dataset.categories) {
    total += static_cast<std::int64_t>(category.train.size() + category.validation.size() +
                                       category.test.size());
  }
  const auto add = [&](const fs::path& path) {
    std::error_code error;
    const bool there = fs::is_regular_file(file_of(path), error);  // else it fails later
    sum.update(fmt::format("{}\n{}\n", path.string(), there ? sha256_of_part(path) : "missing"));
  };
  for (const auto& category : dataset.categories) {
    for (const auto* samples : {&category.train, &category.validation, &category.test}) {
      for (const auto& sample : *samples) {
        if (observer.stopped()) throw Error("interrupted; nothing was scored yet");
        sum.update(fmt::format("{}\n", sample.defect));
        add(sample.path);
        for (const auto& mask : sample.masks) add(mask);
        observer.advance("hashing pictures", ++done, total);
      }
    }
  }
  if (!roi.empty()) {
    std::error_code error;
    std::set<fs::path> files = {roi};
    for (const auto& entry : fs::recursive_directory_iterator(roi, error))
      files.insert(entry.path());
    for (const auto& file : files) add(file);
  }
  return sum.hex();
}

}  // namespace nagl::jobs
