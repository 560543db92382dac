#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "nagl/core/options.h"
#include "nagl/dataset/dataset.h"
#include "nagl/encoding/encoding_options.h"
#include "nagl/evaluation/evaluation_options.h"
#include "nagl/model/standardised_score.h"
#include "nagl/training/trainer.h"

namespace nagl::jobs {

/// All options of a training, as an experiment's file names them and the run folder keeps them.
struct TrainOptions {
  std::vector<std::filesystem::path> data;  ///< data sets, or categories of them: the source
  DatasetFormat format = DatasetFormat::kAuto;
  std::string modality = kUsualModality;  ///< of medical volumes
  EncodingOptions encoding;               ///< of whole pictures: sources are not tiled
  FeatureStoreOptions store;
  NaglHeadOptions head;
  EpisodeOptions episodes;
  TrainerOptions trainer;
  ValidationOptions validation;

  /// Throws ConfigError on a value out of range.
  void check() const;

  template <typename Self, typename Visit>
  static void fields(Self& self, Visit&& visit) {
    visit("data", self.data);
    visit("format", self.format);
    visit("modality", self.modality);
    visit("encoding", self.encoding);
    visit("store", self.store);
    visit("head", self.head);
    visit("episodes", self.episodes);
    visit("trainer", self.trainer);
    visit("validation", self.validation);
  }
};

/// What is evaluated on, and how: the group `evaluation` of an experiment's options.
struct TargetOptions {
  std::vector<std::filesystem::path> data;  ///< data sets, or categories of them: the target
  DatasetFormat format = DatasetFormat::kAuto;
  std::string modality = kUsualModality;  ///< of medical volumes
  std::filesystem::path model;            ///< of nagl train, for methods that use one
  std::filesystem::path references;  ///< results of an evaluation whose references are used again
  std::filesystem::path roi;         ///< a mask for all queries, or a folder of them
  double coreset = 1;                ///< as in BankOptions
  DiscriminantOptions discriminant;  ///< as in BankOptions
  std::optional<double> top_share;   ///< as in BankOptions, for all methods
  TilingOptions tiling;              ///< of references and queries
  /// No methods stand for all that can be scored: `nagl` with a model, those that need pictures of
  /// defects with shots.
  EvaluationOptions evaluation{.methods = {}};

  template <typename Self, typename Visit>
  static void fields(Self& self, Visit&& visit) {
    visit("data", self.data);
    visit("format", self.format);
    visit("modality", self.modality);
    visit("model", self.model);
    visit("references", self.references);
    visit("roi", self.roi);
    visit("coreset", self.coreset);
    visit("discriminant", self.discriminant);
    visit("top_share", self.top_share);
    visit("tiling", self.tiling);
    EvaluationOptions::fields(self.evaluation, visit);
  }
};

/// What a file of options may say: how to train on a source, and under `evaluation` what to do on a
/// target. Training and evaluation take the same file, so that it stands for an experiment; the
/// encoding serves both.
struct ExperimentOptions {
  TrainOptions training;
  TargetOptions target;

  template <typename Self, typename Visit>
  static void fields(Self& self, Visit&& visit) {
    TrainOptions::fields(self.training, visit);
    visit("evaluation", self.target);
  }
};

/// A path that stays true in another working directory, without `.`, `..` or a slash at its end.
std::filesystem::path plain_path(const std::filesystem::path& path);

/// Sets what `values` names. Names of nagl 0.1 (`layer`, `precision`, `pictures.*`) are understood.
/// @throws ConfigError naming an unknown key, or one whose value is of another kind
void set_options(ExperimentOptions& experiment, const Json& values);
void set_options(TrainOptions& training, const Json& values);

/// An experiment's file, then settings `section.key=value`, over what `experiment` says.
/// @param config empty: none @throws ConfigError as `set_options` and `read_config`
void read_config_file(ExperimentOptions& experiment, const std::filesystem::path& config);
void apply_settings(ExperimentOptions& experiment, const std::vector<std::string>& settings);

}  // namespace nagl::jobs
