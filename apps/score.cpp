#include <fmt/format.h>
#include <fmt/ostream.h>
#include <spdlog/spdlog.h>

#include <chrono>
#include <iostream>

#include "exit_code.h"
#include "interrupt.h"
#include "nagl/core/atomic_file.h"
#include "nagl/core/duration.h"
#include "nagl/core/error.h"
#include "nagl/core/options.h"
#include "nagl/detection/detector.h"
#include "nagl/detection/reference_scale.h"
#include "references.h"
#include "score_run.h"

namespace nagl::apps {
namespace {

namespace fs = std::filesystem;
using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

/// Finds the region of interest of each picture.
class RoiFinder {
 public:
  explicit RoiFinder(fs::path roi) : roi_(std::move(roi)) {
    std::error_code error;
    if (!roi_.empty() && fs::is_directory(roi_, error)) index_.emplace(roi_);
  }

  /// One for all pictures, the references too; empty if there is none.
  cv::Mat shared() const { return roi_.empty() || index_ ? cv::Mat() : read_mask(roi_); }

  std::optional<fs::path> find(const PictureFile& file) const {
    if (roi_.empty()) return std::nullopt;
    auto found = index_ ? index_->find(file) : std::optional(roi_);
    if (!found) {
      throw DataError("'" + file.path.string() + "' has no region of interest in '" +
                      roi_.string() + "'");
    }
    return found;
  }

 private:
  fs::path roi_;
  std::optional<StemIndex> index_;
};

std::vector<PlannedQuery> find_queries(const ScoreArguments& arguments, const RoiFinder& roi) {
  std::vector<PlannedQuery> queries;
  MvtecLocator locator;
  for (const auto& file : list_pictures(arguments.queries)) {
    queries.push_back({file, locator.find(file.path), roi.find(file), {}, {}, {}, {}});
  }
  return queries;
}

/// Refuses an output folder whose files would be taken for inputs, now or by the next run.
void check_inputs_are_safe(const ScoreArguments& arguments, const OutputPlan& plan,
                           const std::vector<PlannedQuery>& queries,
                           const ReferencePaths& references) {
  const auto& given = arguments.references;
  for (const auto* paths : {&arguments.queries, &given.normal, &given.abnormal}) {
    for (const auto& path : *paths) plan.check_outside(path);
  }
  for (const auto* path : {&given.masks, &arguments.roi, &arguments.watch}) {
    plan.check_outside(*path);
  }
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

void check_arguments(const ScoreArguments& arguments) {
  const auto& given = arguments.references;
  if (arguments.queries.empty() == arguments.watch.empty()) {
    throw ConfigError(arguments.watch.empty()
                          ? "nothing to score: name pictures, folders, - or --watch FOLDER"
                          : "--watch takes no other pictures");
  }
  if (arguments.bank.empty() && given.normal.empty()) {
    throw ConfigError("give good pictures with --normal, or a bank with --bank");
  }
  const bool references_given = !given.normal.empty() || !given.abnormal.empty() ||
                                !given.masks.empty() || given.normal_shots > 0 ||
                                given.abnormal_shots > 0;
  if (!arguments.bank.empty() && references_given) {
    throw ConfigError("a bank has its references; add others to it with nagl enroll --add");
  }
  for (const auto& query : arguments.queries) {
    if (query == "-" && arguments.queries.size() > 1) {
      throw ConfigError("- takes no other pictures; list them all on standard input");
    }
  }
  if (arguments.sorted && arguments.out.empty()) throw ConfigError("--sorted needs --out");
}

void check_verdicts(const ScoreArguments& arguments, const Bank& bank) {
  if (bank.calibration || !(arguments.sorted || arguments.fail_on_anomaly)) return;
  throw ConfigError(fmt::format("{} needs a calibrated bank: nagl enroll, then nagl calibrate",
                                arguments.sorted ? "--sorted" : "--fail-on-anomaly"));
}

/// What the arguments describe: a bank of a file, or one of folders.
struct Prepared {
  Runtime runtime;
  Bank bank;
};

Prepared prepare(const ScoreArguments& arguments, const ReferencePaths& references,
                 const DerivedMaskPlan& derived, LowValueWarning& low_values) {
  if (!arguments.bank.empty()) {
    Bank bank = load_bank(arguments.bank, parse_device(arguments.runtime.device));
    check_verdicts(arguments, bank);
    Runtime runtime =
        start_runtime_for(arguments.bank, bank, arguments.references, arguments.runtime);
    spdlog::info("backbone {}", runtime.backbone->describe());
    return {std::move(runtime), std::move(bank)};
  }
  check_verdicts(arguments, Bank());
  NewBank bank = start_bank(arguments.references, arguments.runtime);
  spdlog::info("backbone {}", bank.runtime.backbone->describe());
  add_references(bank.builder, references, derived, low_values);
  return {std::move(bank.runtime), bank.builder.finish()};
}

Json describe_run(const ScoreArguments& arguments, const Runtime& runtime,
                  const ReferencePaths& references, const Detector& detector,
                  const std::optional<ColourScale>& scale) {
  Json run = describe_runtime(runtime);
  run["method"] = to_string(detector.options().method);
  if (!arguments.references.model.empty()) run["model"] = arguments.references.model.string();
  if (!arguments.bank.empty()) run["bank"] = arguments.bank.string();
  run["options"] = option_to_json(detector.options());
  if (!arguments.roi.empty()) run["roi"] = arguments.roi.string();
  run["map_format"] = arguments.map_format;
  run["colour_scale"] =
      scale ? Json{{"low", scale->low}, {"high", scale->high}, {"good", scale->good}}
            : Json("auto");
  if (detector.bank().calibration) {
    run["calibration"] = option_to_json(*detector.bank().calibration);
  }
  if (arguments.bank.empty()) {
    run.update(describe_references(references));
  } else {
    run["normal"] = option_to_json(detector.bank().normal);
    run["abnormal"] = option_to_json(detector.bank().abnormal);
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
  if (summary.contains("called_anomalous")) {
    fmt::print(std::cout, ", {} anomalous", summary["called_anomalous"].get<std::size_t>());
  }
  fmt::print(std::cout, "\n");
  if (summary["image_auroc"].is_number()) {
    fmt::print(std::cout, "image AUROC {:.2f} % ({} good, {} anomalous)\n",
               100 * summary["image_auroc"].get<double>(), summary["good"].get<std::size_t>(),
               summary["anomalous"].get<std::size_t>());
  }
  if (plan.out.empty()) return;
  if (plan.report) fmt::print(std::cout, "report:   {}\n", plan.html().string());
  if (plan.overlays) fmt::print(std::cout, "overlays: {}\n", (plan.out / "overlays").string());
  fmt::print(std::cout, "results:  {}\n", plan.csv().string());
}

void write_report(const OutputPlan& plan, const ScoreRun& run, const Detector& detector,
                  const Json& summary) {
  ScoreReport report;
  report.facts = {
      {"method", to_string(detector.options().method)},
      {"backbone", detector.backbone().describe()},
      {"references", fmt::format("{} good, {} of defects", detector.bank().normal.size(),
                                 detector.bank().abnormal.size())}};
  if (summary["image_auroc"].is_number()) {
    report.facts.emplace_back("image AUROC",
                              fmt::format("{:.2f} %", 100 * summary["image_auroc"].get<double>()));
  }
  if (const auto& calibration = detector.bank().calibration) {
    report.threshold = calibration->image_threshold;
    report.trust = trust_in(*calibration);
  }
  report.pictures = run.report();
  write_file(plan.html(), score_report_html(report));
}

int exit_code_of(const ScoreArguments& arguments, const Json& summary) {
  if (arguments.fail_on_anomaly && summary.value("called_anomalous", std::size_t{0}) > 0) {
    return kAnomalyFound;
  }
  return summary["skipped"].get<std::size_t>() > 0 ? kDataFailure : kSuccess;
}

}  // namespace

int run_score(const ScoreArguments& arguments) {
  const auto start = Clock::now();
  check_arguments(arguments);
  OutputPlan plan;
  plan.out = arguments.out;
  plan.map_extension = "." + arguments.map_format;
  plan.overlays = !arguments.no_overlays;
  plan.report = !arguments.no_report && !arguments.streams();
  plan.sort = arguments.sorted;

  const RoiFinder roi(arguments.roi);
  std::vector<PlannedQuery> queries;
  if (!arguments.streams()) queries = find_queries(arguments, roi);
  // Before anything is encoded: what is wrong with the command line comes first.
  const DetectorOptions asked =
      detector_options(arguments.references,
                       parse_image_size(arguments.runtime.image_size.value_or(kDefaultImageSize)));
  const ReferencePaths references = find_references(arguments.references, asked.method);
  if (arguments.bank.empty()) check_references(references, asked.method);
  const DerivedMaskPlan derived = plan_derived_masks(
      arguments.references, references, plan.out.empty() ? fs::path() : plan.out / "derived_masks");
  const cv::Mat shared_roi = roi.shared();
  if (!plan.out.empty()) {
    if (!arguments.streams()) plan.assign(queries, arguments.overwrite);
    std::error_code error;
    if (arguments.watch.empty() && arguments.streams() && !arguments.overwrite &&
        fs::exists(plan.json_lines(), error)) {
      throw ConfigError("'" + plan.json_lines().string() +
                        "' exists; give --overwrite to replace it, or another --out");
    }
    check_inputs_are_safe(arguments, plan, queries, references);
    plan.check_writable();
  }

  LowValueWarning low_values;
  Prepared prepared = prepare(arguments, references, derived, low_values);
  const Detector detector(prepared.runtime.backbone, std::move(prepared.bank),
                          prepared.runtime.batch_size);
  std::optional<ColourScale> scale;
  if (arguments.scale == "references" && !plan.out.empty() && plan.overlays) {
    scale = reference_scale(detector, shared_roi);
  }

  if (!plan.out.empty() && arguments.overwrite) plan.remove_stale();
  catch_interrupts();
  ScoreRun run(arguments, plan, detector, scale, low_values);
  const auto loop_start = Clock::now();
  if (arguments.streams()) {
    MvtecLocator locator;
    const auto plan_query = [&](const PictureFile& file) {
      PlannedQuery query{file, locator.find(file.path), roi.find(file), {}, {}, {}, {}};
      if (!plan.out.empty()) plan.assign(query);
      return query;
    };
    if (arguments.watch.empty()) {
      PathList list;
      run.score(list, nullptr, plan_query);
    } else {
      FolderWatch watch(arguments.watch, arguments.settle);
      spdlog::info("watching '{}'; Ctrl-C ends it", arguments.watch.string());
      run.score(watch, &watch, plan_query);
    }
  } else {
    run.score(queries, prepared.runtime.batch_size);
  }
  low_values.finish();

  Json summary = run.summary();
  summary["seconds"] = seconds_since(loop_start);
  summary["seconds_with_loading"] = seconds_since(start);
  if (!plan.out.empty()) {
    if (plan.report) write_report(plan, run, detector, summary);
    Json described = describe_run(arguments, prepared.runtime, references, detector, scale);
    described["summary"] = summary;
    write_file(plan.run(), dump_json(described, 2) + "\n");
  }
  if (!arguments.json && !arguments.streams()) {
    print_summary(summary, plan, summary["seconds"].get<double>());
  }
  std::cout.flush();
  if (!std::cout) throw Error("standard output cannot be written");
  if (!run.complete()) {
    throw Error("interrupted; what was scored so far is saved");
  }
  return exit_code_of(arguments, summary);
}

}  // namespace nagl::apps
