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
#include "score_facts.h"
#include "score_run.h"
#include "score_shards.h"
#include "score_source.h"
#include "video_queries.h"

namespace nagl::jobs {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kLargestRun = std::size_t{1} << 30;
constexpr double kLastDelivery = 5;  ///< seconds for results that are still to be sent

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

/// Refuses an annotated video that would replace another file.
void check_annotated(const VideoOptions& video, bool overwrite) {
  std::error_code error;
  if (video.annotated.empty() || !fs::exists(video.annotated, error)) return;
  if (fs::equivalent(video.annotated, video.source, error)) {
    throw ConfigError(fmt::format("--video-out '{}' would replace the video that is scored",
                                  video.annotated.string()));
  }
  if (!overwrite) {
    throw ConfigError(
        fmt::format("'{}' exists; give --overwrite to replace it", video.annotated.string()));
  }
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

/// What is known of a picture that came, and where its results go.
QueryFile plan_streamed(const StreamedPicture& picture, const OutputPlan& plan,
                        MvtecLocator& locator, const RoiFinder& roi) {
  QueryFile query{picture.file, {}, {}, {}, {}, {}, {}, {}};
  if (picture.frame) {
    const VideoFrame& frame = *picture.frame;
    query.frame = FrameFacts{frame.number, frame.seconds, frame.taken, picture.trigger};
    query.place = frame_place(picture.file.path, frame.number);
    query.roi = roi.shared();
  } else {
    query.known = locator.find(picture.file.path);
    query.roi = roi.find(picture.file);
  }
  if (plan.writes()) plan.assign(query);
  return query;
}

void score_stream(const Source& source, VideoQueries* video, VideoWriter* annotated,
                  const OutputPlan& plan, const RoiFinder& roi, ScoreRun& run,
                  const ScoreObserver& observer) {
  MvtecLocator locator;
  const auto plan_query = [&](const StreamedPicture& picture) {
    return plan_streamed(picture, plan, locator, roi);
  };
  if (source.list) {
    PathList list(*source.list, observer.stop);
    run.score(list, nullptr, plan_query);
    return;
  }
  if (video != nullptr) {
    run.score(*video, nullptr, plan_query, annotated);
    if (annotated != nullptr) annotated->finish();
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

/// All but that results are published.
ScoreResult score_and_save(const ScoreOptions& options, const Source& source,
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

  if (source.video) check_annotated(*source.video, options.overwrite);
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

  std::optional<VideoQueries> video;  // opened before anything is encoded, too
  std::optional<VideoWriter> annotated;
  if (source.video) {
    video.emplace(*source.video, encoding.decode, observer);
    const fs::path& file = source.video->annotated;
    if (!file.empty()) annotated.emplace(file, video->frames_per_second());
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
    if (source.video) described["video"] = describe(*source.video);
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
    score_stream(source, video ? &*video : nullptr, annotated ? &*annotated : nullptr, plan, roi,
                 run, observer);
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

ScoreResult score(const ScoreOptions& options, const Source& source,
                  const ScoreObserver& observer) {
  PublishOptions publish = options.publish;
  if (publish.any() && publish.spool.empty() && !options.out.empty()) {
    publish.spool = options.out / "spool";
  }
  publish.check();
  if (!publish.any()) return score_and_save(options, source, observer);
  Publisher publisher(publish);
  const auto tell = [&] {
    for (const auto& line : publisher.news()) observer.warn(line);
  };
  ScoreObserver publishing = observer;
  publishing.scored = [&](const ScoreRecord& record) {
    publisher.add(dump_json(record.json()));
    tell();
    if (observer.scored) observer.scored(record);
  };
  ScoreResult result = score_and_save(options, source, publishing);
  publisher.finish(kLastDelivery);
  tell();
  return result;
}

ScoreResult score_folder(const ScoreOptions& options, const std::vector<fs::path>& queries,
                         const ScoreObserver& observer) {
  return score(options, {queries, {}, {}, {}}, observer);
}

ScoreResult score_listed(const ScoreOptions& options, int descriptor,
                         const ScoreObserver& observer) {
  return score(options, {{}, descriptor, {}, {}}, observer);
}

ScoreResult watch_folder(const ScoreOptions& options, const WatchOptions& watch,
                         const ScoreObserver& observer) {
  return score(options, {{}, {}, watch, {}}, observer);
}

}  // namespace nagl::jobs
