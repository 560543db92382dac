#include <fmt/format.h>
#include <fmt/ostream.h>
#include <fmt/ranges.h>
#include <spdlog/spdlog.h>

#include <charconv>
#include <iostream>
#include <set>

#include "evaluate_arguments.h"
#include "exit_code.h"
#include "experiment_options.h"
#include "interrupt.h"
#include "nagl/core/atomic_file.h"
#include "nagl/core/duration.h"
#include "nagl/core/error.h"
#include "nagl/core/folder_lock.h"
#include "nagl/core/progress.h"
#include "nagl/core/sha256.h"
#include "nagl/evaluation/report.h"
#include "runtime.h"

namespace nagl::apps {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kLargestResult = std::size_t{1} << 32;
constexpr const char* kEach = "each";

std::int64_t parse_shots(const std::string& text, bool abnormal) {
  if (abnormal && text == kEach) return kOneOfEach;
  std::int64_t shots = -1;
  const auto result = std::from_chars(text.data(), text.data() + text.size(), shots);
  if (result.ec != std::errc() || result.ptr != text.data() + text.size() || shots < 0) {
    throw ConfigError(fmt::format("'{}' is not a number of shots{}", text,
                                  abnormal ? "; numbers from 0 or the word each" : ""));
  }
  return shots;
}

/// The config file, then the flags, then the settings.
ExperimentOptions resolve(const EvaluateArguments& arguments) {
  ExperimentOptions experiment;
  if (!arguments.recipe.config.empty()) {
    option_from_json(experiment, read_config(arguments.recipe.config));
  }
  EvaluateOptions& target = experiment.evaluation;
  EvaluationOptions& options = target.evaluation;
  if (!arguments.data.empty()) target.data = arguments.data;
  if (arguments.format) parse(*arguments.format, target.format);
  if (!arguments.model.empty()) target.model = arguments.model;
  if (!arguments.references.empty()) target.references = arguments.references;
  if (arguments.protocol) parse(*arguments.protocol, options.protocol);
  if (arguments.seeds) options.seeds = *arguments.seeds;
  const auto read_shots = [](const std::vector<std::string>& texts, bool abnormal,
                             std::vector<std::int64_t>& shots) {
    if (texts.empty()) return;
    shots.clear();
    for (const auto& text : texts) shots.push_back(parse_shots(text, abnormal));
  };
  read_shots(arguments.normal_shots, false, options.normal_shots);
  read_shots(arguments.abnormal_shots, true, options.abnormal_shots);
  if (!arguments.methods.empty()) {
    options.methods.clear();
    for (const auto& name : arguments.methods) options.methods.push_back(parse_as<Method>(name));
  }
  for (const auto& setting : arguments.recipe.settings) {
    option_from_json(experiment, parse_assignment(setting));
  }
  if (target.data.empty()) throw ConfigError("nothing to evaluate on; give --data");
  if (options.methods.empty()) {
    options.methods = {Method::kNormalNn};
    if (options.abnormal_shots != std::vector<std::int64_t>{0}) {
      options.methods.push_back(Method::kAbnormalNn);
      options.methods.push_back(Method::kBothNn);
    }
    if (!target.model.empty()) options.methods.push_back(Method::kNagl);
  }
  options.check();
  for (auto& root : target.data) {
    root = fs::absolute(root).lexically_normal();
    if (!root.has_filename()) root = root.parent_path();  // `mvtec/`
  }
  if (options.protocol == Protocol::kPublished) {
    experiment.training.pictures.mask_alignment = MaskAlignment::kPublished;
  }
  return experiment;
}

/// Of the paths and sizes of all pictures: whether they are still the same ones.
std::string files_checksum(const Dataset& dataset) {
  Sha256 sum;
  std::error_code error;
  for (const auto& category : dataset.categories) {
    for (const auto* samples : {&category.train, &category.test}) {
      for (const auto& sample : *samples) {
        sum.update(fmt::format("{}\n{}\n{}\n", sample.path.string(), sample.defect,
                               fs::file_size(sample.path, error)));
      }
    }
  }
  return sum.hex();
}

double parameters_of(const TrainedHead& head) {
  double count = 0;
  for (const auto& parameter : head.head->parameters()) {
    count += static_cast<double>(parameter.numel());
  }
  return count;
}

/// One run of `nagl evaluate`.
class EvaluateRun {
 public:
  EvaluateRun(const EvaluateArguments& arguments, ExperimentOptions experiment)
      : arguments_(arguments), experiment_(std::move(experiment)) {}

  int run() {
    const EvaluateOptions& target = experiment_.evaluation;
    const Dataset dataset = read_dataset(target.data, target.format);
    spdlog::info("{}: {} categories in the layout {}", fmt::join(target_roots(), ", "),
                 dataset.categories.size(), to_string(dataset.format));
    std::optional<ReferenceList> replay;
    if (!target.references.empty()) replay.emplace(target.references);

    RuntimeOptions runtime_options = arguments_.runtime;
    const auto use = [](auto& chosen, const auto& fallback) {
      if (!chosen) chosen = fallback;
    };
    use(runtime_options.layer, experiment_.training.layer);
    use(runtime_options.image_size, experiment_.training.pictures.image_size);
    use(runtime_options.precision, experiment_.training.precision);
    const std::string device = runtime_options.device;
    std::optional<TrainedHead> head = load_model(device);
    if (head) use(runtime_options.layer, std::optional(head->origin.layer));
    const Runtime runtime = start_runtime(runtime_options);
    spdlog::info("backbone {}", runtime.backbone->describe());
    warn_of_leaks(head, dataset);

    DetectorOptions detection;
    detection.image_size = runtime.image_size;
    detection.decode.bit_depth = static_cast<int>(experiment_.training.pictures.bit_depth);
    detection.decode.check();
    detection.mask_alignment = experiment_.training.pictures.mask_alignment;
    const Evaluator evaluator(runtime.backbone, head, detection, target.evaluation,
                              runtime.batch_size);
    for (const auto& category : dataset.categories) {
      evaluator.check_references(category, replay ? &*replay : nullptr);
    }
    const FolderLock lock(arguments_.out, "evaluating");
    Json described = describe(runtime, head, dataset);
    begin(described);

    catch_interrupts();
    std::vector<CategoryResult> results;
    for (const auto& category : dataset.categories) {
      results.push_back(evaluate(evaluator, category, replay ? &*replay : nullptr));
    }
    report(results, described, context_of(described, runtime, head));
    return kSuccess;
  }

 private:
  std::vector<std::string> target_roots() const {
    std::vector<std::string> roots;
    for (const auto& root : experiment_.evaluation.data) roots.push_back(root.string());
    return roots;
  }

  std::optional<TrainedHead> load_model(const std::string& device) const {
    const EvaluateOptions& target = experiment_.evaluation;
    const auto& methods = target.evaluation.methods;
    const bool needed = std::any_of(methods.begin(), methods.end(), uses_head);
    if (needed && target.model.empty()) {
      throw ConfigError("method nagl needs --model, the model.safetensors of nagl train");
    }
    if (!needed) return std::nullopt;
    return load_head(target.model, parse_device(device));
  }

  /// A head that was trained on what it is now tested on says nothing about other domains.
  void warn_of_leaks(const std::optional<TrainedHead>& head, const Dataset& dataset) {
    if (!head) return;
    const auto source = head->metadata.find("source");
    if (source == head->metadata.end()) return;
    const Json trained = Json::parse(source->second, nullptr, /*allow_exceptions=*/false);
    if (!trained.is_object() || !trained.contains("trained_on")) return;
    std::vector<std::string> shared;
    for (const auto& category : dataset.categories) {
      if (trained["trained_on"].contains(category.name)) shared.push_back(category.name);
    }
    if (shared.empty()) return;
    leak_ = fmt::format(
        "the model was trained on categories called {}: if they are these, its figures are not of "
        "an "
        "unseen domain",
        fmt::join(shared, ", "));
    spdlog::warn("{}", leak_);
  }

  Json describe(const Runtime& runtime, const std::optional<TrainedHead>& head,
                const Dataset& dataset) const {
    const EvaluateOptions& target = experiment_.evaluation;
    Json described = describe_runtime(runtime);
    described["backbone"]["checksum"] = runtime.backbone->checksum();
    described["protocol"] = {{"name", to_string(target.evaluation.protocol)},
                             {"description", nagl::describe(target.evaluation.protocol)}};
    described["options"] = option_to_json(target);
    described["pictures"] = option_to_json(experiment_.training.pictures);
    described["pictures"]["image_size"] =
        fmt::format("{}x{}", runtime.image_size.height, runtime.image_size.width);
    if (!target.references.empty()) {
      described["references_checksum"] = sha256_of_file(target.references);
    }
    if (head) {
      Json model = {{"path", head->path.string()},
                    {"checksum", WeightsFile(head->path).checksum()}};
      for (const auto& [key, text] : head->metadata) model["metadata"][key] = text;
      described["model"] = model;
    }
    Json categories = Json::object();
    for (const auto& category : dataset.categories) {
      Json types = Json::object();
      for (const auto& sample : category.test) {
        Json& count = types[sample.defect];
        count = count.is_null() ? 1 : count.get<int>() + 1;
      }
      categories[category.name] = {{"train", category.train.size()}, {"test", types}};
    }
    described["dataset"] = {{"format", to_string(dataset.format)},
                            {"checksum", files_checksum(dataset)},
                            {"categories", categories}};
    return described;
  }

  fs::path file(const char* name) const { return arguments_.out / name; }

  /// Starts the folder's record, or checks that it is of this very evaluation.
  void begin(const Json& described) const {
    Json identity = described;
    for (const char* harmless : {"threads", "batch_size"}) identity.erase(harmless);
    identity["backbone"].erase("path");
    if (identity.contains("model")) identity["model"].erase("path");
    identity["options"].erase("model");
    const fs::path record = file("evaluation.json");
    std::error_code error;
    if (!fs::exists(record, error)) {
      if (fs::exists(file("categories"), error)) {
        throw ConfigError("'" + arguments_.out.string() +
                          "' holds categories of an evaluation without its record; give another "
                          "--out");
      }
      write_file(record, dump_json(identity, 2) + "\n");
      return;
    }
    if (!arguments_.resume) {
      throw ConfigError("'" + arguments_.out.string() +
                        "' holds an evaluation; give --resume to go on with it, or another --out");
    }
    const Json earlier =
        Json::parse(read_file(record, kLargestResult), nullptr, /*allow_exceptions=*/false);
    if (earlier.is_discarded()) {
      throw DataError("'" + record.string() + "' is damaged; evaluate into another folder");
    }
    const auto differing = differing_options(earlier, identity);
    if (!differing.empty()) {
      throw ConfigError(fmt::format(
          "the evaluation in '{}' was begun with another {}; leave it as it was, or evaluate into "
          "another folder",
          arguments_.out.string(), fmt::join(differing, ", ")));
    }
  }

  CategoryResult evaluate(const Evaluator& evaluator, const Category& category,
                          const ReferenceList* replay) const {
    const fs::path done = arguments_.out / "categories" / (file_name_for(category.name) + ".json");
    std::error_code error;
    if (fs::exists(done, error)) {
      const Json json =
          Json::parse(read_file(done, kLargestResult), nullptr, /*allow_exceptions=*/false);
      spdlog::info("{}: done before", category.name);
      return category_result_from_json(json, done);
    }
    Progress progress(category.name, static_cast<std::int64_t>(category.test.size()));
    EvaluationObserver observer;
    observer.picture = [&](std::int64_t pictures, std::int64_t) { progress.update(pictures); };
    observer.stop = interrupted;
    auto result = evaluator.evaluate(category, replay, arguments_.out, observer);
    progress.clear();
    if (!result) {
      throw Error(
          fmt::format("interrupted; categories that are done are kept: the same command "
                      "with --resume goes on"));
    }
    write_file(done, dump_json(to_json(*result)) + "\n");
    for (const auto& warning : result->warnings) spdlog::warn("{}: {}", category.name, warning);
    log(*result);
    return std::move(*result);
  }

  static void log(const CategoryResult& result) {
    std::string text;
    for (const auto& row : summarize({result})) {
      if (row.category.empty() || !row.metrics[0].mean) continue;
      text +=
          fmt::format("{}{} K1 {} K2 {} {:.1f}", text.empty() ? "" : ", ", to_string(row.method),
                      row.normal_shots, shots_text(row.abnormal_shots), 100 * *row.metrics[0].mean);
    }
    spdlog::info("{}: {} pictures in {}; image AUROC {}", result.name, result.timing.pictures,
                 format_duration(result.timing.total), text.empty() ? "absent" : text);
  }

  ReportContext context_of(const Json& described, const Runtime& runtime,
                           const std::optional<TrainedHead>& head) const {
    const EvaluateOptions& target = experiment_.evaluation;
    ReportContext context;
    const auto roots = target_roots();
    context.title = fmt::format("Evaluation on {}", fs::path(roots.front()).filename().string());
    context.facts = {
        {"Data", fmt::format("{} ({} layout)", fmt::join(roots, ", "),
                             described["dataset"]["format"].get<std::string>())},
        {"Protocol", fmt::format("{}: {}", to_string(target.evaluation.protocol),
                                 nagl::describe(target.evaluation.protocol))},
        {"Seeds", std::to_string(target.evaluation.seeds)},
        {"Backbone",
         fmt::format("{}, checksum {}", runtime.backbone->describe(),
                     described["backbone"]["checksum"].get<std::string>().substr(0, 12))},
        {"Pictures", fmt::format("{} x {}, {}", runtime.image_size.height, runtime.image_size.width,
                                 to_string(runtime.backbone->precision()))},
        {"Device", described["device"].get<std::string>()}};
    if (head) {
      context.facts.emplace_back(
          "Model", fmt::format("{}, checksum {}", head->path.string(),
                               described["model"]["checksum"].get<std::string>().substr(0, 12)));
      context.head_parameters = parameters_of(*head);
      if (const auto seconds = head->metadata.find("training_seconds");
          seconds != head->metadata.end()) {
        context.training_hours = std::strtod(seconds->second.c_str(), nullptr) / 3600;
      }
    }
    if (!target.references.empty()) {
      context.facts.emplace_back("References", "those of " + target.references.string());
    }
    if (!leak_.empty()) context.facts.emplace_back("Mind", leak_);
    context.facts.emplace_back("nagl", described["versions"]["nagl"].get<std::string>());
    context.backbone_parameters = static_cast<double>(runtime.backbone->used_parameters());
    context.pro_limit = target.evaluation.pro_limit;
    return context;
  }

  void report(const std::vector<CategoryResult>& results, const Json& described,
              const ReportContext& context) const {
    Json all = described;
    if (!leak_.empty()) all["warnings"] = {leak_};
    const Json numbers = results_json(results);
    for (const auto& [key, value] : numbers.items()) all[key] = value;
    write_file(file("results.json"), dump_json(all, 1) + "\n");
    write_file(file("results.csv"), results_csv(results));
    write_file(file("scores.csv"), scores_csv(results));
    write_file(file("table.md"), markdown_tables(results, context));
    write_file(file("table.tex"), latex_table(results, context));
    write_file(file("report.html"), html_report(results, context, arguments_.out));
    if (arguments_.json) {
      fmt::print(std::cout, "{}\n", dump_json(all["summary"]));
      return;
    }
    fmt::print(std::cout,
               "{} protocol, mean over {} categories in percent, ± over {} seeds; {}\n\n{}\n"
               "report:  {}\ntables:  {}\nnumbers: {}\n",
               to_string(experiment_.evaluation.evaluation.protocol), results.size(),
               experiment_.evaluation.evaluation.seeds, context.facts[3].second,
               text_table(results), file("report.html").string(), file("table.md").string(),
               file("results.json").string());
  }

  const EvaluateArguments& arguments_;
  ExperimentOptions experiment_;
  std::string leak_;
};

}  // namespace

int run_evaluate(const EvaluateArguments& arguments) {
  return EvaluateRun(arguments, resolve(arguments)).run();
}

}  // namespace nagl::apps
