#include <fmt/format.h>
#include <fmt/ostream.h>
#include <spdlog/spdlog.h>

#include <chrono>
#include <iostream>
#include <opencv2/core.hpp>
#include <opencv2/imgproc.hpp>

#include "exit_code.h"
#include "interrupt.h"
#include "nagl/core/atomic_file.h"
#include "nagl/core/error.h"
#include "nagl/core/progress.h"
#include "nagl/detection/detector.h"
#include "nagl/detection/reference_scale.h"
#include "nagl/image/anomaly_map.h"
#include "nagl/image/overlay.h"
#include "runtime.h"
#include "score_arguments.h"
#include "score_output.h"

namespace nagl::apps {
namespace {

namespace fs = std::filesystem;

ReferencePaths find_references(const ScoreArguments& arguments, Method method) {
  ReferencePaths references;
  for (const auto& file : choose_references(arguments.normal, arguments.normal_shots)) {
    references.normal.push_back(file.path);
  }
  if (!uses_abnormal(method)) {
    if (arguments.abnormal.empty() && arguments.masks.empty()) return references;
    throw ConfigError("method " + arguments.method +
                      " does not use --abnormal and --masks; give --method both_nn or abnormal_nn");
  }
  if (uses_head(method) && arguments.abnormal.empty() && arguments.masks.empty()) {
    spdlog::info("method nagl without --abnormal is normal_nn");
    return references;
  }
  if (arguments.abnormal.empty() || arguments.masks.empty()) {
    throw ConfigError("method " + arguments.method +
                      " needs pictures of defects and their masks: give --abnormal and --masks");
  }
  references.abnormal = pair_with_masks(
      choose_references(arguments.abnormal, arguments.abnormal_shots), arguments.masks);
  return references;
}

std::vector<PlannedQuery> find_queries(const ScoreArguments& arguments) {
  std::vector<PlannedQuery> queries;
  MvtecLocator locator;
  for (const auto& file : list_pictures(arguments.queries)) {
    queries.push_back({file, locator.find(file.path), {}, {}, {}});
  }
  if (arguments.roi.empty()) return queries;
  std::error_code error;
  std::optional<StemIndex> index;
  if (fs::is_directory(arguments.roi, error)) index.emplace(arguments.roi);
  for (auto& query : queries) {
    query.roi = index ? index->find(query.file) : arguments.roi;
    if (!query.roi) {
      throw DataError("'" + query.file.path.string() + "' has no region of interest in '" +
                      arguments.roi.string() + "'");
    }
  }
  return queries;
}

/// Refuses an output folder whose files would be taken for inputs, now or by the next run.
void check_inputs_are_safe(const ScoreArguments& arguments, const OutputPlan& plan,
                           const std::vector<PlannedQuery>& queries,
                           const ReferencePaths& references) {
  for (const auto* paths : {&arguments.queries, &arguments.normal, &arguments.abnormal}) {
    for (const auto& path : *paths) plan.check_outside(path);
  }
  plan.check_outside(arguments.masks);
  plan.check_outside(arguments.roi);
  std::vector<fs::path> files = references.normal;
  for (const auto& reference : references.abnormal) {
    files.push_back(reference.picture);
    files.insert(files.end(), reference.masks.begin(), reference.masks.end());
  }
  for (const auto& query : queries) {
    files.push_back(query.file.path);
    if (query.roi) files.push_back(*query.roi);
    if (query.known) {
      files.insert(files.end(), query.known->masks.begin(), query.known->masks.end());
    }
  }
  plan.check_keeps(files, queries);
}

/// Warns of the first 16-bit picture that holds 12 bits, and counts the others.
class LowValueWarning {
 public:
  void see(const Image& image, Progress& progress) {
    if (!image.looks_12_bit || count_++ > 0) return;
    progress.clear();
    spdlog::warn(
        "'{}' is a 16-bit picture without values of 4096 or more and will look dark; "
        "if it holds 12 bits, give --bit-depth 12",
        image.path.string());
  }
  void finish() const {
    if (count_ > 1) spdlog::warn("{} pictures gave that warning", count_);
  }

 private:
  std::int64_t count_ = 0;
};

/// One run of `nagl score`, from the loaded detector on.
class ScoreRun {
 public:
  ScoreRun(const ScoreArguments& arguments, const OutputPlan& plan, const Detector& detector,
           std::optional<ColourScale> scale, std::vector<PlannedQuery> queries,
           LowValueWarning& low_values)
      : arguments_(arguments),
        plan_(plan),
        detector_(detector),
        scale_(scale),
        queries_(std::move(queries)),
        progress_("scoring", static_cast<std::int64_t>(queries_.size())),
        low_values_(low_values) {
    for (const auto& query : queries_) {
      name_width_ = std::max(name_width_, query.file.relative().string().size());
    }
  }

  /// Scores all queries, or those before an interruption. What was scored is written in any case.
  void score(std::int64_t batch_size) {
    if (!arguments_.json) {
      fmt::print(std::cout, "{:<{}}  score   label\n", "file", name_width_);
    }
    try {
      std::vector<const PlannedQuery*> batch;
      for (const auto& query : queries_) {
        const bool unheard = plan_.out.empty() && !std::cout;  // nobody sees the scores any more
        if (interrupted() || unheard) break;
        batch.push_back(&query);
        if (static_cast<std::int64_t>(batch.size()) == batch_size || &query == &queries_.back()) {
          score_batch(std::exchange(batch, {}));
          progress_.update(static_cast<std::int64_t>(records_.size()));
        }
      }
    } catch (...) {
      progress_.clear();
      save();
      throw;
    }
    progress_.clear();
    save();
  }

  const std::vector<ScoreRecord>& records() const { return records_; }
  bool complete() const { return records_.size() == queries_.size(); }

 private:
  struct Loaded {
    const PlannedQuery* planned;
    Query query;
    std::optional<std::string> error;
  };

  void score_batch(const std::vector<const PlannedQuery*>& batch) {
    std::vector<Loaded> loaded;
    std::vector<Query> queries;
    for (const auto* planned : batch) {
      loaded.push_back(load(*planned));
      if (!loaded.back().error) queries.push_back(loaded.back().query);
    }
    auto detections = detector_.detect(queries);
    auto detection = detections.begin();
    for (const auto& item : loaded) {
      if (item.error) {
        skip(item);
      } else {
        finish(item, *detection++);
      }
    }
  }

  Loaded load(const PlannedQuery& planned) {
    Loaded loaded{&planned, {}, {}};
    try {
      loaded.query.image = read_image(planned.file.path, arguments_.decode);
      if (planned.roi) {
        loaded.query.roi = read_mask_for(loaded.query.image, *planned.roi);
        detector_.roi_patches(loaded.query.roi);  // throws if there are none
      }
    } catch (const DataError& error) {
      loaded.error = error.what();
    }
    low_values_.see(loaded.query.image, progress_);
    return loaded;
  }

  void skip(const Loaded& item) {
    progress_.clear();
    spdlog::error("skipped: {}", *item.error);
    ScoreRecord record;
    record.query = item.planned;
    record.error = item.error;
    report(record);
  }

  void finish(const Loaded& item, const Detection& detection) {
    ScoreRecord record;
    record.query = item.planned;
    record.image_score = detection.image_score;
    record.size = detection.map.size();
    cv::minMaxLoc(detection.map, nullptr, &record.peak_score, nullptr, &record.peak);
    if (item.planned->map) {
      if (arguments_.map_format == "npy") {
        write_map_npy(*item.planned->map, detection.map);
      } else {
        write_map_png(*item.planned->map, detection.map);
      }
    }
    if (item.planned->overlay) write_png(*item.planned->overlay, overlay_of(item, detection));
    report(record);
  }

  cv::Mat overlay_of(const Loaded& item, const Detection& detection) const {
    OverlayContent content;
    content.rgb = item.query.image.rgb;
    content.map = detection.map;
    if (!item.query.roi.empty()) {
      cv::resize(item.query.roi, content.roi, detection.map.size(), 0, 0, cv::INTER_NEAREST);
    }
    content.scale = scale_ ? *scale_ : scale_of(detection.map, content.roi);
    content.caption = fmt::format("score {:.4f}", detection.image_score);
    const auto& known = item.planned->known;
    if (known) content.caption += "   label " + known->defect;
    if (known && !known->masks.empty()) {
      try {
        content.truth = read_masks_for(item.query.image, known->masks);
      } catch (const DataError& error) {
        spdlog::warn("drawn without its true mask: {}", error.what());
      }
    }
    return draw_overlay(content);
  }

  void report(const ScoreRecord& record) {
    records_.push_back(record);
    progress_.clear();
    if (arguments_.json) {
      std::cout << dump_json(record.json()) << std::endl;
      return;
    }
    const auto& known = record.query->known;
    fmt::print(std::cout, "{:<{}}  {}  {}\n", record.query->file.relative().string(), name_width_,
               record.error ? "skipped" : fmt::format("{:.4f}", record.image_score),
               known ? known->defect : "");
    std::cout.flush();
  }

  void save() const {
    if (!plan_.out.empty()) write_records(plan_, records_);
  }

  const ScoreArguments& arguments_;
  const OutputPlan& plan_;
  const Detector& detector_;
  std::optional<ColourScale> scale_;
  std::vector<PlannedQuery> queries_;
  std::vector<ScoreRecord> records_;
  Progress progress_;
  std::size_t name_width_ = 4;
  LowValueWarning& low_values_;
};

/// The trained head that the method needs.
std::optional<TrainedHead> load_model(const ScoreArguments& arguments, Method method) {
  if (uses_head(method) == arguments.model.empty()) {
    throw ConfigError(arguments.model.empty()
                          ? "method nagl needs --model, the model.safetensors of nagl train"
                          : "--model is for --method nagl");
  }
  if (arguments.model.empty()) return std::nullopt;
  return load_head(arguments.model, parse_device(arguments.runtime.device));
}

ReferenceBank encode_references(const Runtime& runtime, const ReferencePaths& references,
                                const DetectorOptions& options,
                                const std::optional<TrainedHead>& head,
                                LowValueWarning& low_values) {
  Progress progress("encoding references", static_cast<std::int64_t>(references.normal.size() +
                                                                     references.abnormal.size()));
  std::int64_t done = 0;
  return make_reference_bank(*runtime.backbone, references, options, runtime.batch_size,
                             head ? &*head : nullptr, [&](const Image& image) {
                               low_values.see(image, progress);
                               progress.update(++done);
                             });
}

Json describe_run(const ScoreArguments& arguments, const Runtime& runtime,
                  const ReferencePaths& references, const std::optional<ColourScale>& scale) {
  Json run = describe_runtime(runtime);
  run["method"] = arguments.method;
  if (!arguments.model.empty()) run["model"] = arguments.model.string();
  run["bit_depth"] = arguments.decode.bit_depth;
  if (!arguments.roi.empty()) run["roi"] = arguments.roi.string();
  run["map_format"] = arguments.map_format;
  run["colour_scale"] =
      scale ? Json{{"low", scale->low}, {"high", scale->high}, {"good", scale->good}}
            : Json("auto");
  run["normal"] = Json::array();
  for (const auto& path : references.normal) run["normal"].push_back(path.string());
  run["abnormal"] = Json::array();
  for (const auto& reference : references.abnormal) {
    run["abnormal"].push_back(
        {{"picture", reference.picture.string()}, {"mask", reference.masks.front().string()}});
  }
  return run;
}

void print_summary(const Json& summary, const OutputPlan& plan, double seconds) {
  const auto scored = summary["scored"].get<std::size_t>();
  fmt::print(std::cout, "\n{} pictures scored in {}", scored, format_duration(seconds));
  if (scored > 0) fmt::print(std::cout, " ({:.2f} s each)", seconds / static_cast<double>(scored));
  if (const auto skipped = summary["skipped"].get<std::size_t>(); skipped > 0) {
    fmt::print(std::cout, ", {} skipped", skipped);
  }
  fmt::print(std::cout, "\n");
  if (summary["image_auroc"].is_number()) {
    fmt::print(std::cout, "image AUROC {:.2f} % ({} good, {} anomalous)\n",
               100 * summary["image_auroc"].get<double>(), summary["good"].get<std::size_t>(),
               summary["anomalous"].get<std::size_t>());
  }
  if (plan.out.empty()) return;
  if (plan.overlays) fmt::print(std::cout, "overlays: {}\n", (plan.out / "overlays").string());
  fmt::print(std::cout, "results:  {}\n", plan.csv().string());
}

}  // namespace

int run_score(const ScoreArguments& arguments) {
  const auto start = std::chrono::steady_clock::now();
  arguments.decode.check();
  const Method method = parse_method(arguments.method);
  OutputPlan plan{arguments.out, "." + arguments.map_format, !arguments.no_overlays};
  auto queries = find_queries(arguments);
  const auto references = find_references(arguments, method);
  cv::Mat shared_roi;  // one for all pictures, the references too
  std::error_code unknown;
  if (!arguments.roi.empty() && !fs::is_directory(arguments.roi, unknown)) {
    shared_roi = read_mask(arguments.roi);
  }
  if (!plan.out.empty()) {
    plan.assign(queries, arguments.overwrite);
    check_inputs_are_safe(arguments, plan, queries, references);
    plan.check_writable();
  }

  const auto head = load_model(arguments, method);
  RuntimeOptions runtime_options = arguments.runtime;
  if (head && !runtime_options.layer) runtime_options.layer = head->origin.layer;
  const Runtime runtime = start_runtime(runtime_options);
  spdlog::info("backbone {}", runtime.backbone->describe());
  DetectorOptions options;
  options.method = method;
  options.image_size = runtime.image_size;
  options.decode = arguments.decode;
  LowValueWarning low_values;
  const Detector detector(
      runtime.backbone, encode_references(runtime, references, options, head, low_values), options);
  std::optional<ColourScale> scale;
  if (arguments.scale == "references" && !plan.out.empty() && plan.overlays) {
    scale = reference_scale(detector, references.normal.front(), shared_roi);
  }

  catch_interrupts();
  ScoreRun run(arguments, plan, detector, scale, std::move(queries), low_values);
  const auto loop_start = std::chrono::steady_clock::now();
  run.score(runtime.batch_size);
  low_values.finish();
  const auto now = std::chrono::steady_clock::now();
  const double seconds = std::chrono::duration<double>(now - loop_start).count();

  Json summary = summarize(run.records());
  summary["seconds"] = seconds;
  summary["seconds_with_loading"] = std::chrono::duration<double>(now - start).count();
  if (!plan.out.empty()) {
    Json described = describe_run(arguments, runtime, references, scale);
    described["summary"] = summary;
    write_file(plan.run(), dump_json(described, 2) + "\n");
  }
  if (!arguments.json) print_summary(summary, plan, seconds);
  std::cout.flush();
  if (!std::cout) throw Error("standard output cannot be written");
  if (!run.complete()) {
    throw Error("interrupted; what was scored so far is saved");
  }
  return summary["skipped"].get<std::size_t>() > 0 ? kDataFailure : kSuccess;
}

}  // namespace nagl::apps
