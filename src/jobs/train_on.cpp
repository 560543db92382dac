#include "nagl/jobs/train_on.h"

#include <ATen/Parallel.h>
#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <optional>

#include "nagl/core/atomic_file.h"
#include "nagl/core/error.h"
#include "nagl/core/memory.h"
#include "nagl/core/sha256.h"
#include "nagl/core/version.h"
#include "nagl/dataset/dataset.h"
#include "nagl/jobs/encode_source.h"
#include "nagl/jobs/encoder_setup.h"

namespace nagl::jobs {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kLargestRunFile = std::size_t{1} << 26;
/// Options that may differ when a training goes on: results do not depend on them.
constexpr const char* kHarmlessOption = "trainer.neighbor_cache_mb";

/// @throws DataError if it is none that a training wrote
Json read_run(const fs::path& path) {
  const Json run = try_parse_json(read_file(path, kLargestRunFile)).value_or(Json());
  const auto holds = [&](const char* group) {
    return run.is_object() && run.contains(group) && run[group].is_object();
  };
  if (holds("options") && holds("source") && run["source"].contains("checksum") &&
      run["source"].contains("pictures")) {
    return run;
  }
  throw DataError("'" + path.string() +
                  "' is not what nagl train writes, or damaged; train in another folder");
}

/// The options that a run was begun with.
TrainOptions options_of(const Json& run) {
  TrainOptions options;
  set_options(options, run.at("options"));
  for (auto& root : options.data) root = plain_path(root);
  return options;
}

/// Defaults or the run's own options, then the config file, what was asked for and the settings.
TrainOptions resolve_options(const TrainRequest& request, const std::optional<Json>& run) {
  ExperimentOptions experiment;
  TrainOptions& options = experiment.training;
  if (run) options = options_of(*run);
  read_config_file(experiment, request.config);
  if (!request.data.empty()) options.data = request.data;
  if (request.format) options.format = *request.format;
  if (request.modality) options.modality = *request.modality;
  options.encoding = request.encoding.over(options.encoding);
  apply_settings(experiment, request.settings);
  for (auto& root : options.data) root = plain_path(root);
  options.check();
  return options;
}

/// Refuses to go on with other options than the training was begun with.
void check_unchanged(const TrainOptions& options, const Json& run, const fs::path& out) {
  const Json now = option_to_json(options), then = option_to_json(options_of(run));
  for (const auto& name : differing_options(then, now)) {
    if (name == kHarmlessOption) continue;
    const auto value_in = [&](const Json& json) {
      std::string pointer = "/" + name;
      std::replace(pointer.begin(), pointer.end(), '.', '/');
      const Json::json_pointer place(pointer);
      return json.contains(place) ? dump_json(json.at(place)) : "null";
    };
    throw ConfigError(
        fmt::format("the training in '{}' was begun with {} {}, now it is {}; leave it out, or "
                    "train in another folder",
                    out.string(), name, value_in(then), value_in(now)));
  }
}

/// Refuses, before any work, to go on with another backbone, layer or width.
void check_checkpoint(const RunFolder& folder, const HeadOrigin& origin) {
  std::error_code error;
  if (!fs::exists(folder.checkpoint(), error)) return;
  read_origin(WeightsFile(folder.checkpoint())).check_equals(origin, folder.checkpoint());
}

/// The pictures that episodes are made of: the test split (docs/design.md, 3.10).
std::vector<SourcePicture> list_source(const TrainOptions& options, const JobObserver& observer) {
  std::vector<SourcePicture> pictures;
  const Dataset dataset = read_dataset(options.data, options.format, options.modality);
  observer.info(fmt::format("source: {} categories in the layout {}", dataset.categories.size(),
                            to_string(dataset.format)));
  for (const auto& category : dataset.categories) {
    std::map<std::string, std::int64_t> unmasked;
    for (const auto& sample : category.test) {
      if (sample.anomalous() && sample.masks.empty()) {
        ++unmasked[sample.defect];
        continue;
      }
      pictures.push_back(
          {category.name, sample.anomalous() ? sample.defect : "", sample.path, sample.masks});
    }
    for (const auto& [type, count] : unmasked) {
      observer.warn(fmt::format("category {}: {} pictures of {} have no mask and are left out",
                                category.name, count, type));
    }
  }
  if (pictures.empty()) {
    throw DataError(
        "the source has no picture to train on: defects need masks, and good pictures "
        "must stand in the test split");
  }
  return pictures;
}

/// The pictures that can be used: those whose defect is still seen at the network's size.
std::vector<std::int64_t> usable_pictures(const EpisodeLoader& loader, std::int64_t count,
                                          const JobObserver& observer) {
  std::vector<std::int64_t> usable;
  for (std::int64_t i = 0; i < count; ++i) {
    const auto& picture = loader.picture(i);
    if (!picture.anomalous() || loader.has_marked_patch(i)) {
      usable.push_back(i);
    } else {
      observer.warn(fmt::format("'{}' is left out: its mask marks nothing at the network's size",
                                picture.path.string()));
    }
  }
  return usable;
}

constexpr const char* kEncodingStopped = "interrupted; what was encoded so far is kept";

/// The share of a process that leaves the training to the first one.
TrainResult encode_share(const TrainRequest& request, TrainOptions options,
                         const TrainObserver& observer) {
  const auto pictures = list_source(options, observer);
  const PictureEncoder encoder = make_encoder(request.runtime, options.encoding, observer);
  FeatureStore store(request.store.empty() ? RunFolder::features_in(request.out) : request.store,
                     store_format(encoder, options.store));
  if (encode_source(store, pictures, encoder, observer, request.sharding).empty()) {
    throw Error(kEncodingStopped);
  }
  TrainResult result;
  result.encoded_only = true;
  return result;
}

/// One training.
class TrainRun {
 public:
  TrainRun(const TrainRequest& request, const RunFolder& folder, TrainOptions options,
           std::optional<Json> earlier, const TrainObserver& observer)
      : request_(request),
        folder_(folder),
        options_(std::move(options)),
        earlier_(std::move(earlier)),
        observer_(observer) {}

  TrainResult run() {
    pictures_ = list_source(options_, observer_);
    const RunFolder& folder = folder_;
    const PictureEncoder encoder = make_encoder(request_.runtime, options_.encoding, observer_);
    options_.encoding = encoder.options();
    options_.head.width = encoder.backbone().width();
    options_.head.check();
    const HeadOrigin origin = origin_of(encoder.backbone());
    if (earlier_) {
      check_checkpoint(folder, origin);
      check_unchanged(options_, *earlier_, request_.out);
    }

    FeatureStore store(request_.store.empty() ? folder.features() : request_.store,
                       store_format(encoder, options_.store));
    const auto keys = encode_source(store, pictures_, encoder, observer_, request_.sharding);
    if (keys.empty()) throw Error(kEncodingStopped);

    EpisodeLoader loader(store, pictures_, keys, options_.head.residual_metric,
                         static_cast<std::uint64_t>(options_.trainer.neighbor_cache_mb) << 20,
                         encoder.backbone().device());
    const auto usable =
        usable_pictures(loader, static_cast<std::int64_t>(pictures_.size()), observer_);
    auto split = split_source(pictures_, usable, options_.validation.hold_out,
                              options_.validation.category, options_.trainer.seed);
    const Validator validator(loader, group_pictures(pictures_, split.validation),
                              options_.episodes, options_.validation, options_.trainer.seed);
    if (!split.validation.empty() && !validator.possible()) {
      observer_.warn(
          fmt::format("too few pictures to hold any out ({}); training on all, without validation",
                      split.description));
      split = {usable, {}, "nothing is held out"};
    }
    const EpisodeSampler sampler(group_pictures(pictures_, split.training), options_.episodes,
                                 options_.trainer.seed);
    for (const auto& line : sampler.skipped()) observer_.warn(line);
    observer_.info("validation: " + split.description);

    Json described = describe_encoder(encoder);
    described["options"] = option_to_json(options_);
    described["source"] = describe_source(keys, sampler, split);
    if (earlier_) check_source(*earlier_, described);

    TrainerContext context{loader, sampler, validator.possible() ? &validator : nullptr,
                           folder, origin,  model_metadata(described)};
    Trainer trainer(options_.trainer, options_.head, std::move(context));
    if (earlier_) resume(trainer);
    write_file(folder.run(), dump_json(described, 2) + "\n");
    return train(trainer, folder, described);
  }

 private:
  static Json describe_source(const std::vector<std::string>& keys, const EpisodeSampler& sampler,
                              const SourceSplit& split) {
    Sha256 sum;
    for (const auto& key : keys) sum.update(key);
    Json categories = Json::object();
    for (const auto& category : sampler.categories()) {
      Json& counts = categories[category.name];
      counts["good"] = category.good.size();
      for (const auto& defect : category.defects) counts[defect.type] = defect.pictures.size();
    }
    return {{"pictures", keys.size()},
            {"checksum", sum.hex()},
            {"trained_on", categories},
            {"validation", split.description},
            {"held_out", split.validation.size()}};
  }

  void check_source(const Json& earlier, const Json& now) const {
    const Json &then_source = earlier.at("source"), &now_source = now.at("source");
    if (then_source.at("checksum") == now_source.at("checksum")) return;
    throw DataError(fmt::format(
        "the source has changed since the training in '{}' was begun ({} pictures then, {} now, or "
        "other content, device or preprocessing); restore it, or train in another folder",
        request_.out.string(), then_source.at("pictures").dump(),
        now_source.at("pictures").dump()));
  }

  static std::map<std::string, std::string> model_metadata(const Json& described) {
    return {{"nagl_version", version()},
            {"options", dump_json(described.at("options"))},
            {"source", dump_json(described.at("source"))}};
  }

  void resume(Trainer& trainer) const {
    const auto threads = trainer.resume();
    if (!threads) {
      observer_.info("no checkpoint yet: training from the start");
      return;
    }
    const auto& state = trainer.state();
    observer_.info(fmt::format("going on with epoch {}, step {}", state.epoch + 1, state.step + 1));
    if (*threads != at::get_num_threads()) {
      observer_.warn(fmt::format(
          "the checkpoint was written with {} threads, this run has {}: weights will differ from "
          "an uninterrupted training's in their last digits; --threads {} avoids that",
          *threads, at::get_num_threads(), *threads));
    }
  }

  TrainResult train(Trainer& trainer, const RunFolder& folder, Json& described) const {
    const auto& options = options_.trainer;
    const std::int64_t epochs = options.epochs, steps = epochs * options.steps_per_epoch();
    constexpr const char* kStage = "training, step";
    observer_.advance(
        kStage, trainer.state().epoch * options.steps_per_epoch() + trainer.state().step, steps);
    TrainerObserver told;
    told.step = [&](std::int64_t done, std::int64_t) { observer_.advance(kStage, done, steps); };
    told.epoch = [&](const EpochRecord& record) {
      if (observer_.epoch) observer_.epoch(record, epochs);
    };
    told.stop = observer_.stop;
    const bool complete = trainer.run(told);
    const auto& state = trainer.state();
    if (!complete) {
      throw Error(fmt::format(
          "interrupted at epoch {}, step {}; saved; `nagl train --out {} --resume` goes on",
          state.epoch + 1, state.step, folder.path().string()));
    }
    described["result"] = summarize(state);
    write_file(folder.run(), dump_json(described, 2) + "\n");
    TrainResult result{state.history, {}, folder.model(), folder.curve()};
    if (const EpochRecord* best = state.best()) result.best = *best;
    return result;
  }

  static Json summarize(const TrainerState& state) {
    double seconds = 0;
    for (const auto& record : state.history) seconds += record.seconds;
    const EpochRecord& last = state.history.back();
    Json result = {{"epochs", last.epoch},
                   {"loss", last.loss},
                   {"seconds", seconds},
                   {"episodes_per_second", last.episodes_per_second},
                   {"peak_memory_mib", peak_memory_mib()}};
    if (const EpochRecord* best = state.best()) {
      result["best_epoch"] = best->epoch;
      result["validation"] = to_json(*best->validation);
    }
    return result;
  }

  const TrainRequest& request_;
  const RunFolder& folder_;
  TrainOptions options_;
  std::optional<Json> earlier_;  ///< run.json of the training that goes on
  const TrainObserver& observer_;
  std::vector<SourcePicture> pictures_;
};

}  // namespace

TrainResult train_on(const TrainRequest& request, const TrainObserver& observer) {
  if (request.sharding.shard && request.sharding.shard->index > 0) {
    std::error_code unknown;
    const fs::path run = request.out / "run.json";
    std::optional<Json> known;
    if (request.resume && fs::exists(run, unknown)) known = read_run(run);
    return encode_share(request, resolve_options(request, known), observer);
  }
  const RunFolder folder(request.out);  // held before anything in it is believed
  std::error_code error;
  const bool begun = fs::exists(folder.run(), error);
  if (begun && !request.resume && !request.sharding.shared()) {
    throw ConfigError("'" + request.out.string() +
                      "' holds a training; give --resume to go on with it, or another --out");
  }
  std::optional<Json> earlier;
  if (begun) {
    earlier = read_run(folder.run());
  } else if (request.resume) {
    observer.info(fmt::format("'{}' holds no training yet: starting one", request.out.string()));
  }
  return TrainRun(request, folder, resolve_options(request, earlier), earlier, observer).run();
}

}  // namespace nagl::jobs
