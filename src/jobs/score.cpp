#include "nagl/jobs/score.h"

#include <fmt/format.h>

#include <algorithm>

#include "nagl/core/atomic_file.h"
#include "nagl/core/device.h"
#include "nagl/core/duration.h"
#include "nagl/core/error.h"
#include "nagl/core/file_lock.h"
#include "nagl/core/options.h"
#include "nagl/dataset/region_of_interest.h"
#include "nagl/detection/reference_scale.h"
#include "nagl/image/mask.h"
#include "nagl/jobs/encoder_setup.h"
#include "score_run.h"
#include "score_shards.h"

namespace nagl::jobs {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kLargestRun = std::size_t{1} << 30;

/// Where the pictures to score come from.
struct Source {
  std::vector<fs::path> paths;        ///< pictures and folders
  std::optional<int> list;            ///< a file that lists them
  std::optional<WatchOptions> watch;  ///< a folder that fills

  bool streams() const { return list || watch; }
};

std::vector<QueryFile> find_queries(const std::vector<fs::path>& paths, const RoiFinder& roi,
                                    const JobObserver& observer) {
  std::vector<QueryFile> queries;
  std::vector<PictureFile> masks;
  MvtecLocator locator;
  for (const auto& file : list_pictures(paths, &masks)) {
    queries.push_back({file, {}, locator.find(file.path), roi.find(file), {}, {}, {}, {}});
  }
  tell_masks_left_out(masks, false, observer);
  return queries;
}

/// Refuses an output folder whose files would be taken for inputs, now or by the next run.
void check_inputs_are_safe(const ScoreOptions& options, const Source& source,
                           const OutputPlan& plan, const std::vector<QueryFile>& queries,
                           const BankPictures& references) {
  const auto& given = options.pictures;
  for (const auto* paths : {&source.paths, &given.normal, &given.abnormal}) {
    for (const auto& path : *paths) plan.check_outside(path);
  }
  for (const auto* path : {&given.masks, &options.roi}) plan.check_outside(*path);
  if (source.watch) plan.check_outside(source.watch->folder);
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

/// What verdicts go by. @throws ConfigError if there is nothing, and something needs them
std::optional<Thresholds> thresholds_of(const ScoreOptions& options, const Bank& bank) {
  const VerdictRequest& asked = options.verdict;
  if (!bank.calibration && !asked.suffices()) {
    const char* needs = options.sorted               ? "--sorted"
                        : options.needs_verdict      ? "--fail-on-anomaly"
                        : !options.masks_out.empty() ? "--masks-out"
                        : asked.least_area > 0       ? "--min-area"
                        : asked.three()              ? "--uncertain"
                        : asked.map_threshold        ? "--map-threshold"
                                                     : nullptr;
    if (needs != nullptr) {
      throw ConfigError(fmt::format(
          "{} needs thresholds: a calibrated bank (nagl enroll, then nagl calibrate), or "
          "--threshold{}",
          needs, asked.uncertain && asked.threshold ? " and --uncertain-threshold" : ""));
    }
  }
  return asked.over(bank);
}

void check_options(const ScoreOptions& options) {
  if (options.bank.empty() && options.pictures.normal.empty()) {
    throw ConfigError("give good pictures with --normal, or a bank with --bank");
  }
  if (!options.bank.empty() && !options.pictures.empty()) {
    throw ConfigError("a bank has its references; add others to it with nagl enroll --add");
  }
  if (options.sorted && options.out.empty()) throw ConfigError("--sorted needs --out");
  if (options.bank.empty()) thresholds_of(options, Bank());
}

OutputPlan plan_of(const ScoreOptions& options, const Source& source) {
  OutputPlan plan;
  plan.out = options.out;
  plan.map_extension = fmt::format(".{}", to_string(options.map_format));
  plan.overlays = options.overlays;
  plan.report = options.report && !source.streams();
  plan.sort = options.sorted;
  plan.masks = options.masks_out;
  return plan;
}

/// What the options describe: a bank of a file, or one of pictures.
Detector prepare(const ScoreOptions& options, const BankPictures& references,
                 const DerivedMaskPlan& derived, RemarkLog& remarks, const JobObserver& observer) {
  if (!options.bank.empty()) {
    Bank bank = load_bank(options.bank, device_of(options.runtime));
    const auto thresholds = thresholds_of(options, bank);
    const PictureEncoder encoder =
        encoder_for(options.bank, bank, options.request, options.runtime, observer);
    return Detector(encoder.shared_backbone(), std::move(bank), encoder.batch_size(), thresholds);
  }
  BankBuilder builder = start_bank(options.request, references, options.runtime, observer);
  add_to_bank(builder, references, derived, remarks, observer);
  const PictureEncoder encoder = builder.encoder();
  Bank bank = builder.finish();
  const auto thresholds = thresholds_of(options, bank);
  return Detector(encoder.shared_backbone(), std::move(bank), encoder.batch_size(), thresholds);
}

Json describe_run(const ScoreOptions& options, const BankPictures& references,
                  const Detector& detector, const std::optional<ColourScale>& scale) {
  Json run = describe_encoder(detector.encoder());
  const auto shown = [&](double score) {
    return shown_score(score, detector.bank().score_range());
  };
  run["method"] = to_string(detector.options().method);
  const Bank& bank = detector.bank();
  run["scored_by"] = to_string(bank.scored_by());
  if (const auto choice = explain_choice(bank.options, bank.normal.size(), bank.abnormal.size());
      !choice.empty()) {
    run["scored_by_why"] = choice;
  }
  if (!options.request.model.empty()) run["model"] = options.request.model.string();
  if (!options.bank.empty()) run["bank"] = options.bank.string();
  run["options"] = option_to_json(detector.options());
  if (!options.roi.empty()) run["roi"] = options.roi.string();
  run["map_format"] = to_string(options.map_format);
  run["colour_scale"] = scale ? Json{{"low", shown(scale->low)},
                                     {"high", shown(scale->high)},
                                     {"good", shown(scale->good)}}
                              : Json("auto");
  if (const auto calibration = detector.bank().shown_calibration()) {
    run["calibration"] = option_to_json(*calibration);
  }
  if (const auto& used = detector.thresholds()) {
    Json& thresholds = run["thresholds"] = {
        {"image", shown(used->image)}, {"map", shown(used->map)}, {"least_area", used->least_area}};
    if (used->uncertain) thresholds["uncertain"] = shown(*used->uncertain);
  }
  if (options.bank.empty()) {
    run.update(describe_pictures(references));
  } else {
    run["normal"] = option_to_json(detector.bank().normal);
    run["abnormal"] = option_to_json(detector.bank().abnormal);
  }
  return run;
}

/// A method, and what it comes down to.
std::string method_text(const Bank& bank) {
  const std::string asked = to_string(bank.options.method), used = to_string(bank.scored_by());
  return asked == used ? asked : fmt::format("{} ({})", asked, used);
}

void write_report(const OutputPlan& plan, std::vector<ReportPicture> pictures,
                  const Detector& detector, const Json& summary) {
  ScoreReport report;
  report.facts = {
      {"method", method_text(detector.bank())},
      {"backbone", detector.backbone().describe()},
      {"references", fmt::format("{} good, {} of defects", detector.bank().normal_count(),
                                 detector.bank().abnormal.size())}};
  if (summary["image_auroc"].is_number()) {
    report.facts.emplace_back("image AUROC",
                              fmt::format("{:.2f} %", 100 * summary["image_auroc"].get<double>()));
  }
  if (const auto& thresholds = detector.thresholds()) {
    report.threshold = shown_score(thresholds->image, detector.bank().score_range());
    if (thresholds->uncertain) {
      report.uncertain = shown_score(*thresholds->uncertain, detector.bank().score_range());
    }
    const auto& calibration = detector.bank().calibration;
    const bool by_it = calibration && calibration->image_threshold == thresholds->image;
    if (by_it) report.trust = trust_in(*calibration);
  }
  report.pictures = std::move(pictures);
  write_file(plan.html(), score_report_html(report));
}

void score_stream(const Source& source, const OutputPlan& plan, const RoiFinder& roi, ScoreRun& run,
                  const ScoreObserver& observer) {
  MvtecLocator locator;
  const auto plan_query = [&](const PictureFile& file) {
    QueryFile query{file, {}, locator.find(file.path), roi.find(file), {}, {}, {}, {}};
    if (plan.writes()) plan.assign(query);
    return query;
  };
  if (source.list) {
    PathList list(*source.list, observer.stop);
    run.score(list, nullptr, plan_query);
    return;
  }
  FolderWatch watch(source.watch->folder, source.watch->settle, observer);
  observer.info(fmt::format("watching '{}'; Ctrl-C ends it", source.watch->folder.string()));
  run.score(watch, &watch, plan_query);
}

/// What is told of one part of the pictures, as of all of them.
ScoreObserver observer_of_part(const ScoreObserver& observer, std::int64_t before,
                               std::int64_t total) {
  ScoreObserver part = observer;
  part.started = {};
  part.progress = [&observer, before, total](const std::string& stage, std::int64_t done,
                                             std::int64_t) {
    observer.advance(stage, before + done, total);
  };
  return part;
}

/// Scores this process's share. @return whether all is done
bool score_shares(const ScoreShards& shards, const ScoreOptions& options, const OutputPlan& plan,
                  const Detector& detector, const std::optional<ColourScale>& scale,
                  const std::vector<QueryFile>& queries, RemarkLog& remarks,
                  const ScoreObserver& observer) {
  OutputPlan own = plan;
  own.tables = false;
  std::int64_t scored = 0;
  const auto total = static_cast<std::int64_t>(queries.size());
  if (observer.started) observer.started(queries, detector);
  return shards.score(queries,
                      [&](const std::vector<QueryFile>& part) -> std::optional<ScoreShards::Part> {
                        const ScoreObserver told = observer_of_part(observer, scored, total);
                        ScoreRun run(options, own, detector, scale, remarks, told);
                        run.score(part);
                        if (!run.complete()) return std::nullopt;
                        scored += static_cast<std::int64_t>(part.size());
                        return ScoreShards::Part{run.records(), run.report()};
                      });
}

ScoreResult score(const ScoreOptions& options, const Source& source,
                  const ScoreObserver& observer) {
  const Stopwatch since_start;
  check_options(options);
  ScoreResult result;
  result.plan = plan_of(options, source);
  const OutputPlan& plan = result.plan;
  std::optional<ScoreShards> shards;
  if (options.sharding.shared()) {
    if (source.streams()) {
      throw ConfigError("--shard is for pictures that are there; those that come are of one nagl");
    }
    shards.emplace(options, plan, observer);
  }

  const RoiFinder roi(options.roi);
  std::vector<QueryFile> queries;
  if (!source.streams()) queries = find_queries(source.paths, roi, observer);
  // Before anything is encoded: what is wrong with the options comes first.
  const Method method = options.request.over().method;
  BankPictures references = find_pictures(options.pictures, method, observer);
  if (options.bank.empty()) check_pictures(references, method, observer);
  const bool derives = std::any_of(references.abnormal.begin(), references.abnormal.end(),
                                   [](const MaskedPicture& one) { return one.masks.empty(); });
  if (shards && derives) {
    throw ConfigError(
        "--shard: masks are derived once, not by each shard; give --masks, or make a bank first "
        "(nagl enroll)");
  }
  const DerivedMaskPlan derived = plan_derived_masks(
      options.pictures, references, plan.out.empty() ? fs::path() : plan.out / "derived_masks");
  const cv::Mat shared_roi = roi.shared() ? read_mask(*roi.shared()).marks : cv::Mat();
  const EncodingOptions encoding = options.request.over().encoding;
  if (options.bank.empty() && roi.shared() && encoding.tiling.tile == 0) {
    references.roi = read_roi(*roi.shared(), references, encoding.decode);
  }
  std::optional<FileLock> lock;
  if (plan.writes()) {
    if (!plan.out.empty() && !shards) {
      lock.emplace(FileLock::on_folder(plan.out, "scoring"));
    }
    std::error_code error;
    if (shards) {
      shards->assign(queries);
    } else if (!source.streams()) {
      plan.assign(queries, options.overwrite);
    } else if (!plan.out.empty() && !source.watch && !options.overwrite &&
               fs::exists(plan.json_lines(), error)) {
      throw ConfigError("'" + plan.json_lines().string() +
                        "' exists; give --overwrite to replace it, or another --out");
    }
    check_inputs_are_safe(options, source, plan, queries, references);
  }

  RemarkLog remarks(observer);
  const Detector detector = prepare(options, references, derived, remarks, observer);
  std::optional<ColourScale> scale;
  if (options.scale == OverlayScale::kReferences && !plan.out.empty() && plan.overlays) {
    scale = reference_scale(detector, shared_roi);
  }

  if (!plan.out.empty() && options.overwrite) plan.remove_stale();
  const Stopwatch since_loaded;
  const auto write = [&](std::vector<ReportPicture> report) {
    result.summary["seconds"] = since_loaded.seconds();
    result.summary["seconds_with_loading"] = since_start.seconds();
    if (plan.out.empty()) return;
    if (plan.report) write_report(plan, std::move(report), detector, result.summary);
    Json described = describe_run(options, references, detector, scale);
    described["summary"] = result.summary;
    write_file(plan.run(), dump_json(described, 2) + "\n");
  };
  if (shards) {
    shards->begin(describe_run(options, references, detector, scale), queries);
    result.complete =
        score_shares(*shards, options, plan, detector, scale, queries, remarks, observer) &&
        shards->finish([&] {
          ScoreShards::Part all = shards->gather(queries);
          write_records(plan, all.records);
          result.summary = summarize(all.records, detector.thresholds());
          write(std::move(all.report));
        });
    remarks.finish();
    if (result.summary.empty() && result.complete) {  // another process has put it together
      result.summary = parse_json(read_file(plan.run(), kLargestRun)).at("summary");
    }
    if (!result.complete) {
      result.summary = summarize({}, {});
      result.summary["seconds"] = since_loaded.seconds();
    }
    return result;
  }
  ScoreRun run(options, plan, detector, scale, remarks, observer);
  if (source.streams()) {
    score_stream(source, plan, roi, run, observer);
  } else {
    run.score(queries);
  }
  remarks.finish();
  result.complete = run.complete();
  result.summary = run.summary();
  write(run.report());
  return result;
}

}  // namespace

std::optional<Thresholds> VerdictRequest::over(const Bank& bank) const {
  const ScoreRange range = bank.score_range();
  const auto raw = [&](double shown, const char* option) {
    const bool open = range == ScoreRange::kUnbounded;
    if (!(open ? shown > 0 && shown < 1 : shown >= 0 && shown <= 1)) {
      throw ConfigError(fmt::format("{} {} is not {}", option, shown,
                                    open ? "above 0 and below 1" : "from 0 to 1"));
    }
    return raw_score(shown, range);
  };
  std::optional<Thresholds> thresholds;
  const auto& calibration = bank.calibration;
  if (calibration) thresholds = nagl::thresholds_of(*calibration);
  if (threshold) {
    if (!thresholds) thresholds = Thresholds{0, {}, raw(*threshold, "--threshold"), 0};
    thresholds->image = raw(*threshold, "--threshold");
  }
  if (!thresholds) return thresholds;
  if (map_threshold) thresholds->map = raw(*map_threshold, "--map-threshold");
  thresholds->least_area = least_area;
  if (uncertain_threshold) {
    thresholds->uncertain = raw(*uncertain_threshold, "--uncertain-threshold");
  } else if (uncertain) {
    if (calibration) thresholds->uncertain = calibration->uncertain_threshold;
    if (!thresholds->uncertain) {
      throw ConfigError(
          "--uncertain: the bank was calibrated by an earlier version of nagl, for two verdicts; "
          "calibrate it again, or give --uncertain-threshold");
    }
    // A threshold of somebody's own may lie below it: then nothing is uncertain.
    thresholds->uncertain = std::min(*thresholds->uncertain, thresholds->image);
  }
  if (thresholds->uncertain && *thresholds->uncertain > thresholds->image) {
    throw ConfigError(fmt::format("--uncertain-threshold {} is above the threshold {:.4f}",
                                  *uncertain_threshold, shown_score(thresholds->image, range)));
  }
  return thresholds;
}

ScoreResult score_folder(const ScoreOptions& options, const std::vector<fs::path>& queries,
                         const ScoreObserver& observer) {
  return score(options, {queries, {}, {}}, observer);
}

ScoreResult score_listed(const ScoreOptions& options, int descriptor,
                         const ScoreObserver& observer) {
  return score(options, {{}, descriptor, {}}, observer);
}

ScoreResult watch_folder(const ScoreOptions& options, const WatchOptions& watch,
                         const ScoreObserver& observer) {
  return score(options, {{}, {}, watch}, observer);
}

}  // namespace nagl::jobs
