#include "nagl/jobs/evaluate_on.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cstdlib>
#include <map>
#include <set>

#include "evaluation_request.h"
#include "nagl/core/atomic_file.h"
#include "nagl/core/device.h"
#include "nagl/core/duration.h"
#include "nagl/core/error.h"
#include "nagl/core/file_lock.h"
#include "nagl/core/sha256.h"
#include "nagl/evaluation/evaluator.h"
#include "nagl/evaluation/report.h"
#include "nagl/jobs/encoder_setup.h"
#include "submission.h"

namespace nagl::jobs {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kLargestResult = std::size_t{1} << 32;

double parameters_of(const TrainedHead& head) {
  double count = 0;
  for (const auto& parameter : head.head->parameters()) {
    count += static_cast<double>(parameter.numel());
  }
  return count;
}

/// A processor's name and threads change no figure beyond its last digits, and which of several
/// GPUs it is changes none.
std::string kind_of_device(const Json& described) {
  const std::string device = described.is_string() ? described.get<std::string>() : std::string();
  if (device.starts_with("cpu")) return "cpu";
  const auto name = device.find(' ');
  return device.substr(0, device.find(':')) +
         (name == std::string::npos ? std::string() : device.substr(name));
}

/// One evaluation.
class EvaluateRun {
 public:
  EvaluateRun(const EvaluateRequest& request, ExperimentOptions experiment,
              const JobObserver& observer)
      : request_(request), experiment_(std::move(experiment)), observer_(observer) {
    if (!request.submission.empty()) submission_.emplace(request.submission);
  }

  EvaluateResult run() {
    const TargetOptions& target = experiment_.target;
    const Dataset dataset = read_dataset(target.data, target.format, target.modality);
    check_submission(dataset);
    observer_.info(fmt::format("{}: {} categories in the layout {}",
                               fmt::join(target_roots(), ", "), dataset.categories.size(),
                               to_string(dataset.format)));
    std::optional<RecordedDraws> replay;
    if (!target.references.empty()) replay.emplace(target.references);

    const std::optional<TrainedHead> head = load_model();
    BankOptions bank = bank_options(target);
    bank.encoding = experiment_.training.encoding;
    bank.encoding.tiling = target.tiling;
    if (head && !bank.encoding.layer) bank.encoding.layer = head->origin.layer;
    bank.check();
    const PictureEncoder encoder = make_encoder(request_.runtime, bank.encoding, observer_);
    warn_of_leaks(head, dataset);

    const Evaluator evaluator(encoder.shared_backbone(), head, bank, target.evaluation,
                              encoder.batch_size(), target.roi);
    for (const auto& category : dataset.categories) {
      evaluator.check_references(category, replay ? &*replay : nullptr);
    }
    const ShardRequest& sharding = request_.sharding;
    std::optional<FileLock> lock;  // shards come one after the other, and see what others did
    if (!sharding.shared()) lock.emplace(FileLock::on_folder(request_.out, "evaluating"));
    const Json described = describe(encoder, head, dataset);
    begin(described);
    evaluation_ = sha256_of_file(file("evaluation.json"));

    const RecordedDraws* draws = replay ? &*replay : nullptr;
    std::optional<SharedJob> shared;
    if (sharding.shared()) {
      shared.emplace(request_.out / ".shards", sharding, observer_);
      do_shares(*shared, evaluator, dataset, draws);
    }
    std::vector<CategoryResult> results;
    for (const auto& category : dataset.categories) {
      results.push_back(is_done(category) ? read_done(category)
                                          : evaluate(evaluator, category, draws));
    }
    EvaluateResult result = result_of(std::move(results), described, encoder);
    const auto finish = [&] {
      write(result, context_of(described, encoder, head));
      if (submission_) submission_->pack(dataset, evaluation_);
    };
    if (!shared) {
      finish();
    } else if (!shared->finish(finish)) {
      fail_interrupted();
    }
    if (submission_) result.submission = submission_->archive();
    return result;
  }

 private:
  /// Whether what a benchmark's server wants can be made.
  void check_submission(const Dataset& dataset) const {
    if (!submission_) return;
    const EvaluationOptions& options = experiment_.target.evaluation;
    if (options.methods.size() != 1 || options.normal_shots.size() != 1 ||
        options.abnormal_shots.size() != 1) {
      throw ConfigError(
          "a submission is of one method and one number of references: give one to --methods, "
          "--normal-shots and --abnormal-shots");
    }
    const bool any = std::any_of(dataset.categories.begin(), dataset.categories.end(),
                                 [](const Category& one) { return !one.unlabelled.empty(); });
    if (!any) {
      throw DataError(
          fmt::format("'{}' has no pictures without truth (MVTec AD 2's test_private "
                      "and test_private_mixed), so there is nothing to submit",
                      experiment_.target.data.front().string()));
    }
  }

  std::vector<std::string> target_roots() const {
    std::vector<std::string> roots;
    for (const auto& root : experiment_.target.data) roots.push_back(root.string());
    return roots;
  }

  std::optional<TrainedHead> load_model() const {
    const TargetOptions& target = experiment_.target;
    const auto& methods = target.evaluation.methods;
    const bool needed = std::any_of(methods.begin(), methods.end(), uses_head);
    if (!needed) return std::nullopt;
    if (target.model.empty()) {
      throw ConfigError(
          "methods nagl and nagl_standardised need --model, the model.safetensors of nagl train");
    }
    return load_head(target.model, device_of(request_.runtime));
  }

  /// A head that was trained on what it is now tested on says nothing about other domains.
  void warn_of_leaks(const std::optional<TrainedHead>& head, const Dataset& dataset) {
    if (!head) return;
    const auto source = head->metadata.find("source");
    if (source == head->metadata.end()) return;
    const Json trained = try_parse_json(source->second).value_or(Json());
    if (!trained.is_object() || !trained.contains("trained_on")) return;
    std::vector<std::string> shared;
    for (const auto& category : dataset.categories) {
      if (trained["trained_on"].contains(category.name)) shared.push_back(category.name);
    }
    if (shared.empty()) return;
    leak_ = fmt::format(
        "the model was trained on categories called {}: if they are these, its figures are not of "
        "an unseen domain",
        fmt::join(shared, ", "));
    observer_.warn(leak_);
  }

  Json describe(const PictureEncoder& encoder, const std::optional<TrainedHead>& head,
                const Dataset& dataset) const {
    const TargetOptions& target = experiment_.target;
    Json described = describe_encoder(encoder);
    described["backbone"]["checksum"] = encoder.backbone().checksum();
    described["protocol"] = {{"name", to_string(target.evaluation.protocol)},
                             {"description", nagl::describe(target.evaluation.protocol)}};
    described["options"] = option_to_json(target);
    if (!target.references.empty()) {
      described["references_checksum"] = sha256_of_file(target.references);
    }
    if (head) {
      Json model = {{"path", head->path.string()}, {"checksum", head->checksum}};
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
                            {"checksum", files_checksum(dataset, target.roi, observer_)},
                            {"categories", categories}};
    return described;
  }

  fs::path file(const char* name) const { return request_.out / name; }

  /// Starts the folder's record, or checks that it is of this very evaluation.
  void begin(const Json& described) const {
    Json identity = described;
    for (const char* harmless : {"threads", "batch_size"}) identity.erase(harmless);
    identity["backbone"].erase("path");
    if (identity.contains("model")) identity["model"].erase("path");
    identity["options"].erase("model");
    identity["device"] = kind_of_device(identity["device"]);
    const fs::path record = file("evaluation.json");
    std::error_code error;
    if (!fs::exists(record, error)) {
      if (fs::exists(file("categories"), error)) {
        throw ConfigError("'" + request_.out.string() +
                          "' holds categories of an evaluation without its record; give another "
                          "--out");
      }
      write_file(record, dump_json(identity, 2) + "\n");
      return;
    }
    if (!request_.resume && !request_.sharding.shared()) {
      throw ConfigError("'" + request_.out.string() +
                        "' holds an evaluation; give --resume to go on with it, or another --out");
    }
    Json earlier = try_parse_json(read_file(record, kLargestResult)).value_or(Json());
    if (!earlier.is_object()) {
      throw DataError("'" + record.string() + "' is damaged; evaluate into another folder");
    }
    if (earlier.contains("device")) earlier["device"] = kind_of_device(earlier["device"]);
    const auto differing = differing_options(earlier, identity);
    if (differing == std::vector<std::string>{"dataset.checksum"}) {
      throw ConfigError(
          fmt::format("the pictures, masks or labels have changed since the evaluation in '{}' was "
                      "begun; restore "
                      "them, or evaluate into another folder",
                      request_.out.string()));
    }
    if (!differing.empty()) {
      throw ConfigError(fmt::format(
          "the evaluation in '{}' was begun with another {}; leave it as it was, or evaluate into "
          "another folder",
          request_.out.string(), fmt::join(differing, ", ")));
    }
  }

  [[noreturn]] static void fail_interrupted() {
    throw Error(
        "interrupted; categories that are done are kept: the same command with --resume goes on");
  }

  fs::path file_of(const Category& category) const {
    return request_.out / "categories" / (file_name_for(category.name) + ".json");
  }

  bool is_done(const Category& category) const {
    std::error_code error;
    return fs::exists(file_of(category), error) &&
           (!submission_ || submission_->holds(category, evaluation_));
  }

  CategoryResult read_done(const Category& category) const {
    const fs::path done = file_of(category);
    const Json json = try_parse_json(read_file(done, kLargestResult)).value_or(Json());
    if (!request_.sharding.shared()) observer_.info(category.name + ": done before");
    return category_result_from_json(json, done);
  }

  /// Does this process's share of the categories, until all are done.
  void do_shares(const SharedJob& shared, const Evaluator& evaluator, const Dataset& dataset,
                 const RecordedDraws* replay) const {
    std::map<std::string, const Category*> categories;
    std::vector<std::string> units;
    for (const auto& category : dataset.categories) {
      units.push_back(file_name_for(category.name));
      categories[units.back()] = &category;
    }
    const bool all = shared.work(
        units, [&](const std::string& unit) { return is_done(*categories.at(unit)); },
        [&](const std::string& unit) {
          shared.restart();
          evaluate(evaluator, *categories.at(unit), replay);
          return true;
        });
    std::error_code error;
    if (!fs::exists(file("results.json"), error)) shared.restart();
    if (!all) fail_interrupted();
  }

  CategoryResult evaluate(const Evaluator& evaluator, const Category& category,
                          const RecordedDraws* replay) const {
    EvaluationObserver told;
    told.picture = [&](std::int64_t pictures, std::int64_t total) {
      observer_.advance(category.name, pictures, total);
    };
    told.stop = observer_.stop;
    std::size_t sent = 0;
    if (submission_) {
      told.unlabelled = [&](const std::string& split, const fs::path& picture, const cv::Mat& map,
                            double pixel_cut) {
        submission_->write(category.name, split, picture, map, pixel_cut);
        ++sent;
      };
    }
    observer_.advance(category.name, 0, static_cast<std::int64_t>(category.test.size()));
    auto result = evaluator.evaluate(category, replay, request_.out, told);
    if (!result) fail_interrupted();
    if (submission_ && !category.unlabelled.empty()) {
      if (sent == 0) {
        throw DataError(
            fmt::format("category '{}' cannot be scored by this method, so there is "
                        "nothing to submit of it",
                        category.name));
      }
      submission_->finish(category, evaluation_);
    }
    write_file(file_of(category), dump_json(to_json(*result)) + "\n");
    for (const auto& warning : result->warnings) {
      observer_.warn(fmt::format("{}: {}", category.name, warning));
    }
    log(*result);
    return std::move(*result);
  }

  void log(const CategoryResult& result) const {
    std::string text;
    for (const auto& row : summarize({result})) {
      if (row.category.empty() || !row.metrics[0].mean) continue;
      text +=
          fmt::format("{}{} K1 {} K2 {} {:.1f}", text.empty() ? "" : ", ", to_string(row.method),
                      row.normal_shots, shots_text(row.abnormal_shots), 100 * *row.metrics[0].mean);
    }
    observer_.info(fmt::format("{}: {} pictures in {}; image AUROC {}", result.name,
                               result.timing.pictures, format_duration(result.timing.total),
                               text.empty() ? "absent" : text));
  }

  ReportContext context_of(const Json& described, const PictureEncoder& encoder,
                           const std::optional<TrainedHead>& head) const {
    const TargetOptions& target = experiment_.target;
    ReportContext context;
    const ImageSize size = encoder.options().image_size;
    const auto roots = target_roots();
    context.title = fmt::format("Evaluation on {}", fs::path(roots.front()).filename().string());
    context.facts = {
        {"Data", fmt::format("{} ({} layout)", fmt::join(roots, ", "),
                             described["dataset"]["format"].get<std::string>())},
        {"Protocol", fmt::format("{}: {}", to_string(target.evaluation.protocol),
                                 nagl::describe(target.evaluation.protocol))},
        {"Seeds", std::to_string(target.evaluation.seeds)},
        {"Backbone",
         fmt::format("{}, checksum {}", encoder.backbone().describe(),
                     described["backbone"]["checksum"].get<std::string>().substr(0, 12))},
        {"Pictures", fmt::format("{} x {}, {}", size.height, size.width,
                                 to_string(encoder.options().precision))},
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
    context.backbone_parameters = static_cast<double>(encoder.backbone().used_parameters());
    context.pro_limit = target.evaluation.pro_limit;
    return context;
  }

  EvaluateResult result_of(std::vector<CategoryResult> results, const Json& described,
                           const PictureEncoder& encoder) const {
    EvaluateResult result;
    result.categories = std::move(results);
    result.all = described;
    result.protocol = experiment_.target.evaluation.protocol;
    result.seeds = experiment_.target.evaluation.seeds;
    result.report = file("report.html");
    result.tables = file("table.md");
    result.numbers = file("results.json");
    result.backbone = fmt::format("{}, checksum {}", encoder.backbone().describe(),
                                  encoder.backbone().checksum().substr(0, 12));
    if (!leak_.empty()) result.all["warnings"] = {leak_};
    const Json numbers = results_json(result.categories);
    for (const auto& [key, value] : numbers.items()) result.all[key] = value;
    return result;
  }

  void write(const EvaluateResult& result, const ReportContext& context) const {
    write_file(result.numbers, dump_json(result.all, 1) + "\n");
    write_file(file("results.csv"), results_csv(result.categories));
    write_file(file("scores.csv"), scores_csv(result.categories));
    write_file(result.tables, markdown_tables(result.categories, context));
    write_file(file("table.tex"), latex_table(result.categories, context));
    write_file(result.report, html_report(result.categories, context, request_.out));
  }

  const EvaluateRequest& request_;
  ExperimentOptions experiment_;
  const JobObserver& observer_;
  std::optional<Submission> submission_;
  std::string evaluation_;  ///< tells it from others
  std::string leak_;
};

}  // namespace

EvaluateResult evaluate_on(const EvaluateRequest& request, const JobObserver& observer) {
  return EvaluateRun(request, resolve(request), observer).run();
}

}  // namespace nagl::jobs
