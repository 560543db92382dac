#include <fmt/format.h>
#include <fmt/ostream.h>
#include <spdlog/spdlog.h>

#include <iostream>

#include "exit_code.h"
#include "experiment_options.h"
#include "interrupt.h"
#include "nagl/core/atomic_file.h"
#include "nagl/core/duration.h"
#include "nagl/core/memory.h"
#include "nagl/core/progress.h"
#include "nagl/core/sha256.h"
#include "nagl/core/version.h"
#include "nagl/dataset/dataset.h"
#include "runtime.h"
#include "train_arguments.h"

namespace nagl::apps {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kLargestRunFile = std::size_t{1} << 26;
/// Options that may differ when a training goes on: results do not depend on them.
constexpr const char* kHarmlessOption = "trainer.neighbor_cache_mb";

Json read_run(const fs::path& path) {
  try {
    return Json::parse(read_file(path, kLargestRunFile));
  } catch (const Json::exception&) {
    throw DataError("'" + path.string() + "' is damaged; start a training in another folder");
  }
}

/// Defaults or the run's own options, then the config file, the flags and the settings.
TrainOptions resolve_options(const TrainArguments& arguments, const std::optional<Json>& run) {
  ExperimentOptions experiment;
  TrainOptions& options = experiment.training;
  if (run) option_from_json(options, run->at("options"));
  if (!arguments.recipe.config.empty()) {
    option_from_json(experiment, read_config(arguments.recipe.config));
  }
  if (!arguments.data.empty()) options.data = arguments.data;
  if (arguments.format) parse(*arguments.format, options.format);
  const RuntimeOptions& runtime = arguments.runtime;
  if (runtime.layer) options.layer = runtime.layer;
  if (runtime.image_size) options.pictures.image_size = *runtime.image_size;
  if (runtime.precision) options.precision = *runtime.precision;
  for (const auto& setting : arguments.recipe.settings) {
    option_from_json(experiment, parse_assignment(setting));
  }
  for (auto& root : options.data) root = fs::absolute(root).lexically_normal();
  options.check();
  return options;
}

/// Refuses to go on with other options than the training was begun with.
void check_unchanged(const TrainOptions& options, const Json& run, const fs::path& out) {
  const Json now = option_to_json(options), then = run.at("options");
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
                    "train in another "
                    "folder",
                    out.string(), name, value_in(then), value_in(now)));
  }
}

/// Refuses, before any work, to go on with another backbone, layer or width.
void check_checkpoint(const RunFolder& folder, const HeadOrigin& origin) {
  std::error_code error;
  if (!fs::exists(folder.checkpoint(), error)) return;
  read_origin(WeightsFile(folder.checkpoint())).check_equals(origin, folder.checkpoint());
}

/// The pictures that episodes are made of: the test split (DESIGN 3.10).
std::vector<SourcePicture> list_source(const TrainOptions& options) {
  std::vector<SourcePicture> pictures;
  const Dataset dataset = read_dataset(options.data, options.format);
  spdlog::info("source: {} categories in the layout {}", dataset.categories.size(),
               to_string(dataset.format));
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
      spdlog::warn("category {}: {} pictures of {} have no mask and are left out", category.name,
                   count, type);
    }
  }
  return pictures;
}

NetworkInput load_picture(const SourcePicture& picture, ImageSize size, std::int64_t patch,
                          const PictureOptions& options) {
  DecodeOptions decode;
  decode.bit_depth = static_cast<int>(options.bit_depth);
  const Image image = read_image(picture.path, decode);
  if (picture.masks.empty()) return {preprocess(image, size), {}, {}};
  auto input = prepare_masked(image, picture.masks, size, patch, options.mask_alignment);
  return {input.pixels, input.network_mask, input.patch_mask};
}

/// Brings the source into the store. @return its keys; nothing if it was interrupted
std::vector<std::string> encode_source(FeatureStore& store,
                                       const std::vector<SourcePicture>& pictures,
                                       const Runtime& runtime, const PictureOptions& options) {
  Progress checking("looking through the feature store",
                    static_cast<std::int64_t>(pictures.size()));
  std::optional<Progress> encoding;
  StoreBuildObserver observer;
  observer.checked = [&](std::int64_t done, std::int64_t) { checking.update(done); };
  observer.forecast = [&](std::int64_t missing, std::uint64_t bytes) {
    checking.clear();
    spdlog::info("feature store {}: {} of {} pictures to encode, {:.1f} MB",
                 store.folder().string(), missing, pictures.size(),
                 static_cast<double>(bytes) / 1e6);
    encoding.emplace("encoding", missing);
  };
  observer.encoded = [&](std::int64_t done, std::int64_t) { encoding->update(done); };
  observer.stop = interrupted;
  const std::int64_t patch = runtime.backbone->patch();
  return build_feature_store(
      store, pictures, *runtime.backbone, runtime.batch_size,
      [&](const SourcePicture& picture) {
        return load_picture(picture, runtime.image_size, patch, options);
      },
      observer);
}

FeatureFormat format_of(const Runtime& runtime, const TrainOptions& options,
                        const HeadOrigin& origin) {
  const Backbone& backbone = *runtime.backbone;
  FeatureFormat format;
  format.patch = backbone.patch();
  format.grid = {runtime.image_size.height / format.patch, runtime.image_size.width / format.patch};
  format.width = backbone.width();
  format.type = options.store.type;
  format.recipe = {{"backbone", origin.backbone},
                   {"backbone_checksum", origin.backbone_checksum},
                   {"layer", backbone.layer()},
                   {"precision", to_string(backbone.precision())},
                   {"device", backbone.device().is_cpu() ? "cpu" : "cuda"},
                   {"preprocess_version", kPreprocessVersion},
                   {"bit_depth", options.pictures.bit_depth},
                   {"mask_alignment", to_string(options.pictures.mask_alignment)}};
  return format;
}

/// The pictures that can be used: those whose defect is still seen at the network's size.
std::vector<std::int64_t> usable_pictures(const EpisodeLoader& loader, std::int64_t count) {
  std::vector<std::int64_t> usable;
  for (std::int64_t i = 0; i < count; ++i) {
    const auto& picture = loader.picture(i);
    if (!picture.anomalous() || loader.has_marked_patch(i)) {
      usable.push_back(i);
    } else {
      spdlog::warn("'{}' is left out: its mask marks nothing at the network's size",
                   picture.path.string());
    }
  }
  return usable;
}

std::string percent(double fraction) { return fmt::format("{:.2f} %", 100 * fraction); }

std::string describe(const ValidationMetrics& metrics) {
  return fmt::format("image AUROC {}, pixel AUROC {}, PRO {}", percent(metrics.image_auroc),
                     percent(metrics.pixel_auroc), percent(metrics.pro));
}

void log_epoch(const EpochRecord& record, std::int64_t epochs) {
  const std::string validation = record.validation
                                     ? fmt::format("; held out: {}{}", describe(*record.validation),
                                                   record.best ? ", best" : "")
                                     : "";
  spdlog::info(
      "epoch {}/{}: loss {:.4f} (classification {:.4f}, focal {:.4f}, Dice {:.4f}), {:.1f} "
      "episodes/s{}",
      record.epoch, epochs, record.loss, record.classification, record.focal, record.dice,
      record.episodes_per_second, validation);
}

/// One run of `nagl train`.
class TrainRun {
 public:
  TrainRun(const TrainArguments& arguments, TrainOptions options, std::optional<Json> earlier)
      : arguments_(arguments), options_(std::move(options)), earlier_(std::move(earlier)) {}

  int run() {
    pictures_ = list_source(options_);
    const RunFolder folder(arguments_.out);
    RuntimeOptions runtime_options = arguments_.runtime;
    runtime_options.layer = options_.layer;
    runtime_options.image_size = options_.pictures.image_size;
    runtime_options.precision = options_.precision;
    const Runtime runtime = start_runtime(runtime_options);
    spdlog::info("backbone {}", runtime.backbone->describe());
    options_.layer = runtime.backbone->layer();
    options_.head.width = runtime.backbone->width();
    options_.head.check();
    const HeadOrigin origin = origin_of(*runtime.backbone);
    if (earlier_) {
      check_checkpoint(folder, origin);
      check_unchanged(options_, *earlier_, arguments_.out);
    }

    catch_interrupts();
    FeatureStore store(arguments_.store.empty() ? folder.features() : arguments_.store,
                       format_of(runtime, options_, origin));
    const auto keys = encode_source(store, pictures_, runtime, options_.pictures);
    if (keys.empty()) throw Error("interrupted; what was encoded so far is kept");

    EpisodeLoader loader(store, pictures_, keys, options_.head.residual_metric,
                         static_cast<std::uint64_t>(options_.trainer.neighbor_cache_mb) << 20,
                         runtime.backbone->device());
    const auto usable = usable_pictures(loader, static_cast<std::int64_t>(pictures_.size()));
    auto split = split_source(pictures_, usable, options_.validation.hold_out,
                              options_.validation.category, options_.trainer.seed);
    const Validator validator(loader, group_pictures(pictures_, split.validation),
                              options_.episodes, options_.validation, options_.trainer.seed);
    if (!split.validation.empty() && !validator.possible()) {
      spdlog::warn("too few pictures to hold any out ({}); training on all, without validation",
                   split.description);
      split = {usable, {}, "nothing is held out"};
    }
    const EpisodeSampler sampler(group_pictures(pictures_, split.training), options_.episodes,
                                 options_.trainer.seed);
    for (const auto& line : sampler.skipped()) spdlog::warn("{}", line);
    spdlog::info("validation: {}", split.description);

    Json described = describe_runtime(runtime);
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
        arguments_.out.string(), then_source.at("pictures").dump(),
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
      spdlog::info("no checkpoint yet: training from the start");
      return;
    }
    const auto& state = trainer.state();
    spdlog::info("going on with epoch {}, step {}", state.epoch + 1, state.step + 1);
    if (*threads != at::get_num_threads()) {
      spdlog::warn(
          "the checkpoint was written with {} threads, this run has {}: weights will differ from "
          "an "
          "uninterrupted training's in their last digits; --threads {} avoids that",
          *threads, at::get_num_threads(), *threads);
    }
  }

  int train(Trainer& trainer, const RunFolder& folder, Json& described) const {
    const auto& options = options_.trainer;
    const std::int64_t epochs = options.epochs, steps = epochs * options.steps_per_epoch();
    const std::int64_t begun =
        trainer.state().epoch * options.steps_per_epoch() + trainer.state().step;
    Progress progress("training, step", steps, begun);
    TrainerObserver observer;
    observer.step = [&](std::int64_t done, std::int64_t) { progress.update(done); };
    observer.epoch = [&](const EpochRecord& record) {
      progress.clear();
      log_epoch(record, epochs);
    };
    observer.stop = interrupted;
    const bool complete = trainer.run(observer);
    progress.clear();
    const auto& state = trainer.state();
    if (!complete) {
      throw Error(fmt::format(
          "interrupted at epoch {}, step {}; saved; `nagl train --out {} --resume` goes on",
          state.epoch + 1, state.step, folder.path().string()));
    }
    described["result"] = summarize(state);
    write_file(folder.run(), dump_json(described, 2) + "\n");
    print_result(state, folder);
    return kSuccess;
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

  static void print_result(const TrainerState& state, const RunFolder& folder) {
    const EpochRecord &first = state.history.front(), &last = state.history.back();
    double seconds = 0;
    for (const auto& record : state.history) seconds += record.seconds;
    fmt::print(std::cout, "trained {} epochs in {}: loss {:.4f} -> {:.4f}\n", last.epoch,
               format_duration(seconds), first.loss, last.loss);
    if (const EpochRecord* best = state.best()) {
      fmt::print(std::cout, "best epoch {}, on held-out source pictures: {}\n", best->epoch,
                 describe(*best->validation));
    }
    fmt::print(std::cout, "model: {}\ncurve: {}\n", folder.model().string(),
               folder.curve().string());
  }

  const TrainArguments& arguments_;
  TrainOptions options_;
  std::optional<Json> earlier_;  ///< run.json of the training that goes on
  std::vector<SourcePicture> pictures_;
};

}  // namespace

int run_train(const TrainArguments& arguments) {
  const fs::path run_file = arguments.out / "run.json";
  std::error_code error;
  const bool begun = fs::exists(run_file, error);
  if (begun && !arguments.resume) {
    throw ConfigError("'" + arguments.out.string() +
                      "' holds a training; give --resume to go on with it, or another --out");
  }
  std::optional<Json> earlier;
  if (begun) {
    earlier = read_run(run_file);
  } else if (arguments.resume) {
    spdlog::info("'{}' holds no training yet: starting one", arguments.out.string());
  }
  return TrainRun(arguments, resolve_options(arguments, earlier), earlier).run();
}

}  // namespace nagl::apps
