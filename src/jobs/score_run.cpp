#include "score_run.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <memory>
#include <opencv2/core.hpp>
#include <opencv2/imgproc.hpp>
#include <set>
#include <tuple>
#include <utility>

#include "nagl/core/atomic_file.h"
#include "nagl/core/error.h"
#include "nagl/core/file_part.h"
#include "nagl/core/json_lines.h"
#include "nagl/core/quantile.h"
#include "nagl/detection/detection_overlay.h"
#include "nagl/detection/failure.h"
#include "nagl/image/anomaly_map.h"
#include "nagl/image/mask.h"

namespace nagl::jobs {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kLargestCopy = (std::size_t{1} << 31) - 1;
constexpr const char* kStage = "scoring";

bool is_there(const fs::path& path) {
  std::error_code error;
  return fs::exists(fs::symlink_status(path, error));
}

/// What tells whether a watched picture is the one that was scored: its path, size and time.
std::string state_of(const fs::path& path) {
  std::error_code error;
  const auto size = fs::file_size(path, error);
  const auto time = fs::last_write_time(path, error).time_since_epoch().count();
  return fmt::format("{} {} {}", path.string(), size, time);
}

/// A frame as a picture. @throws DataError if it cannot be used
Image image_of(const VideoFrame& frame, const fs::path& path) {
  if (!frame.fault.empty()) throw DataError(fmt::format("'{}' {}", path.string(), frame.fault));
  Image image{frame.rgb, path, {}};
  if (!frame.complaint.empty()) {
    image.remarks.push_back(
        {"decoder", fmt::format("at '{}' or shortly before, the decoder said: {}", path.string(),
                                frame.complaint)});
  }
  return image;
}

/// The states that the lines of an earlier watch name.
std::set<std::string> states_in(const fs::path& json_lines) {
  std::set<std::string> states;
  for (const auto& record : read_json_lines(json_lines)) {
    if (record.is_object() && record.contains("state") && record["state"].is_string()) {
      states.insert(record["state"].get<std::string>());
    }
  }
  return states;
}

}  // namespace

ScoreRun::ScoreRun(const ScoreOptions& options, const OutputPlan& plan, const Detector& detector,
                   std::optional<ColourScale> scale, RemarkLog& remarks,
                   const ScoreObserver& observer)
    : options_(options),
      plan_(plan),
      detector_(detector),
      scale_(scale),
      remarks_(remarks),
      observer_(observer) {}

void ScoreRun::score(const std::vector<QueryFile>& queries) {
  const auto total = static_cast<std::int64_t>(queries.size());
  observer_.advance(kStage, 0, total);
  if (observer_.started) observer_.started(queries, detector_);
  volumes_ = std::make_unique<VolumeMaps>(plan_.out, queries);
  Writer writer([&](Finished finished) { keep(std::move(finished)); },
                detector_.encoder().items_beside());
  try {
    auto reader = detector_.encoder().read_ahead<Loaded>(
        queries.size(), [&](std::size_t i) { return load(queries[i]); });
    std::deque<Loaded> waiting;  // for a batch to fill
    Scorer scorer(detector_.encoder());
    const auto done = [&](std::vector<PictureScores> scores) {
      const auto item = std::make_shared<const Loaded>(std::move(waiting.front()));
      waiting.pop_front();
      writer.add([this, item, scores = std::move(scores.front())] {
        return finished_or_skipped(*item, [&] { return detector_.detection_of(scores); });
      });
      skip_broken(waiting, writer);
    };
    for (std::size_t i = 0; i < queries.size() && !observer_.stopped(); ++i) {
      waiting.push_back(reader.next());
      Loaded& item = waiting.back();
      remarks_.see(item.query.image.remarks);
      if (item.error) {
        skip_broken(waiting, writer);
      } else {
        const Query query = item.query;  // `item` may be gone before `add` returns
        scorer.add(within(query, detector_.bank().roi), {detector_.target()}, done);
      }
      observer_.advance(kStage, static_cast<std::int64_t>(records_.size()), total);
    }
    if (!observer_.stopped()) scorer.flush();
    skip_broken(waiting, writer);
    writer.finish();
    volumes_->finish();
    observer_.advance(kStage, static_cast<std::int64_t>(records_.size()), total);
  } catch (...) {
    writer.finish_what_works();
    try {
      save();
    } catch (const Error& error) {  // the first failure is what matters
      observer_.error(error.what());
    }
    throw;
  }
  complete_ = records_.size() == queries.size();
  save();
}

void ScoreRun::score(QueryStream& stream, FolderWatch* watch,
                     const std::function<QueryFile(const StreamedPicture&)>& plan_query,
                     VideoWriter* annotated) {
  streaming_ = true;
  annotates_ = annotated != nullptr;
  drift_.emplace(detector_.bank());
  if (observer_.started) observer_.started({}, detector_);
  std::optional<JsonLinesFile> lines;
  std::set<std::string> earlier;  // what an earlier watch has a line of
  if (!plan_.out.empty()) {
    if (watch != nullptr) earlier = states_in(plan_.json_lines());
    lines.emplace(plan_.json_lines());
  }
  std::map<fs::path, fs::path> owners;  // the picture that a map belongs to
  std::size_t kept = 0;
  while (const auto picture = stream.next()) {
    const std::string state = watch != nullptr ? state_of(picture->file.path) : "";
    if (!state.empty() && earlier.contains(state)) {
      ++kept;
      continue;
    }
    Loaded item;
    item.file.file = picture->file;
    try {
      item.file = plan_query(*picture);
      if (picture->frame && item.file.first_output()) {  // each has a number of its own
        if (!options_.overwrite && is_there(*item.file.first_output())) {
          throw DataError(fmt::format("'{}' exists; give --overwrite to replace it",
                                      item.file.first_output()->string()));
        }
      } else if (item.file.first_output()) {
        auto [owner, fresh] = owners.emplace(*item.file.first_output(), picture->file.path);
        if (watch == nullptr &&
            owner->second != picture->file.path) {  // one of that name was there
          item.file.place = place_of(picture->file.path);
          plan_.assign(item.file);
          std::tie(owner, fresh) = owners.emplace(*item.file.first_output(), picture->file.path);
        }
        std::error_code gone;  // a watched picture that was taken away leaves its name to others
        if (watch != nullptr && !fs::exists(owner->second, gone)) {
          owner->second = picture->file.path;
        }
        if (owner->second != picture->file.path) {
          throw DataError(fmt::format("'{}' and '{}' would both be written to '{}'",
                                      owner->second.string(), picture->file.path.string(),
                                      owner->first.string()));
        }
        if (fresh && watch == nullptr && !options_.overwrite && is_there(owner->first)) {
          throw DataError(
              fmt::format("'{}' exists; give --overwrite to replace it", owner->first.string()));
        }
      }
      item = load(item.file, picture->frame);
      remarks_.see(item.query.image.remarks);
    } catch (const DataError& error) {
      item.error = error.what();
    }
    std::error_code unknown;
    if (item.error && watch != nullptr) {
      if (!fs::exists(picture->file.path, unknown)) continue;  // vanished
      if (!picture->last_try) {
        watch->failed();
        continue;
      }
    }
    item.state = state;
    Finished finished = item.error ? skipped(item) : finished_or_skipped(item, [&] {
      return detector_.detection_of(detector_.score(item.query));
    });
    if (!finished.overlay.empty()) annotated->add(finished.overlay);
    keep(std::move(finished));
    const ScoreRecord& record = records_.back();
    if (lines) lines->append(record.json());
    if (observer_.scored) observer_.scored(record);
    streamed_ += 1;
    streamed_skipped_ += record.error.has_value();
    streamed_anomalous_ += record.verdict == Verdict::kAnomalous;
    streamed_uncertain_ += record.verdict == Verdict::kUncertain;
    records_.clear();
  }
  complete_ = stream.endless() || !observer_.stopped();
  if (kept > 0) {
    observer_.info(fmt::format(
        "{} pictures have a line in '{}' already and were left alone (--overwrite scores "
        "them again)",
        kept, plan_.json_lines().string()));
  }
}

Json ScoreRun::summary() const {
  if (!streaming_) return summarize(records_, detector_.thresholds());
  Json summary;
  summary["scored"] = streamed_ - streamed_skipped_;
  summary["skipped"] = streamed_skipped_;
  if (const auto& thresholds = detector_.thresholds()) {
    summary["called_anomalous"] = streamed_anomalous_;
    if (thresholds->uncertain) summary["called_uncertain"] = streamed_uncertain_;
  }
  if (!stream_scores_.empty()) {
    Json& quantiles = summary["score_quantiles"] = Json::object();
    for (const int percent : {5, 25, 50, 75, 95}) {
      quantiles[std::to_string(percent)] = quantile(stream_scores_, percent / 100.0);
    }
  }
  return summary;
}

ScoreRun::Loaded ScoreRun::load(const QueryFile& file,
                                const std::optional<VideoFrame>& frame) const {
  Loaded loaded;
  loaded.file = file;
  try {
    loaded.query.image =
        frame ? image_of(*frame, file.file.path) : detector_.encoder().read(file.file.path);
    // Now, since a watched picture may be gone by the time that its verdict is known.
    if (!frame && !file.sorted.empty() && file_part_of(file.file.path).part.empty()) {
      loaded.bytes = read_file(file.file.path, kLargestCopy);
    }
    if (file.roi) {
      Mask region = read_mask_for(loaded.query.image, *file.roi);
      loaded.query.roi = std::move(region.marks);
      auto& remarks = loaded.query.image.remarks;
      remarks.insert(remarks.end(), region.remarks.begin(), region.remarks.end());
    }
    const cv::Mat& shared = detector_.bank().roi;
    if (file.roi || !shared.empty()) {  // throws if that leaves nothing, or does not fit
      const QueryTiles whole(detector_.encoder(), within(loaded.query, shared));
    }
  } catch (const DataError& error) {
    loaded.error = error.what();
  }
  return loaded;
}

void ScoreRun::skip_broken(std::deque<Loaded>& waiting, Writer& writer) {
  while (!waiting.empty() && waiting.front().error) {
    writer.add([this, item = std::move(waiting.front())] { return skipped(item); });
    waiting.pop_front();
  }
}

ScoreRun::Finished ScoreRun::skipped(const Loaded& item) const {
  Finished finished;
  finished.record.query = item.file;
  finished.record.error = item.error;
  finished.record.state = item.state;
  if (volumes_) volumes_->add(item.file, {});
  if (reports()) finished.picture = reported(finished.record, {}, {});
  return finished;
}

ScoreRun::Finished ScoreRun::finished_or_skipped(
    const Loaded& item, const std::function<Detection()>& detection) const {
  Finished result;
  const auto failure = failure_of([&] { result = finished(item, detection()); });
  if (!failure) return result;
  Loaded failed;
  failed.file = item.file;
  failed.state = item.state;
  failed.error = fmt::format("'{}' {}", item.file.file.path.string(), *failure);
  return skipped(failed);
}

ScoreRun::Finished ScoreRun::finished(const Loaded& item, const Detection& detection) const {
  Finished finished;
  ScoreRecord& record = finished.record;
  record = record_of(item.file, detection);
  record.state = item.state;
  const bool kept = keeps(item.file, detection.verdict);
  if (!kept) record.query.map = record.query.overlay = std::nullopt;
  if (item.file.map && kept) {
    if (options_.map_format == MapFormat::kNpy) {
      write_map_npy(*item.file.map, detection.map);
    } else {
      write_map_png(*item.file.map, detection.map);
    }
  }
  cv::Mat overlay;
  const bool drawn = item.file.overlay && kept;
  if (drawn || annotates_) overlay = overlay_of(item, detection, finished);
  if (drawn) write_png(*item.file.overlay, overlay);
  if (annotates_) finished.overlay = overlay;
  if (item.file.region_mask) write_png(*item.file.region_mask, detection.region_mask);
  if (!item.file.sorted.empty()) write_sorted(item, detection.verdict);
  if (reports()) finished.picture = reported(record, item.query.image.rgb, overlay);
  if (drift_) {
    finished.image = item.query.image;
    finished.raw_score = detection.scores.raw_image_score();
  }
  if (volumes_) volumes_->add(item.file, detection.map);
  return finished;
}

bool ScoreRun::keeps(const QueryFile& file, Verdict verdict) const {
  return !file.frame || options_.normal_frames || verdict != Verdict::kNormal;
}

cv::Mat ScoreRun::overlay_of(const Loaded& item, const Detection& detection,
                             Finished& finished) const {
  OverlayContent content = overlay_content(item.query.image, detection, scale_);
  const auto& known = item.file.known;
  if (known) content.caption += "   label " + known->defect;
  if (item.file.frame) content.caption += fmt::format("   frame {}", item.file.frame->number);
  if (known && !known->masks.empty()) {
    try {
      content.truth = read_masks_for(item.query.image, known->masks).marks;
    } catch (const DataError& error) {
      finished.warnings.push_back(fmt::format("drawn without its true mask: {}", error.what()));
    }
  }
  return draw_overlay(content);
}

void ScoreRun::write_sorted(const Loaded& item, Verdict verdict) const {
  for (const auto& [where, path] : item.file.sorted) {
    std::error_code ignored;  // an earlier run may have thought otherwise
    if (where != verdict) fs::remove(path, ignored);
  }
  const fs::path& where = item.file.sorted.at(verdict);
  if (item.bytes.empty()) {  // a part of a file, or a frame
    write_png(where, item.query.image.rgb);
  } else {
    write_file(where, item.bytes);
  }
}

ReportPicture ScoreRun::reported(const ScoreRecord& record, const cv::Mat& rgb,
                                 const cv::Mat& overlay) const {
  ReportPicture picture;
  const QueryFile& query = record.query;
  picture.path = (query.place.empty() ? query.file.relative() : query.place).string();
  if (!record.error) {
    std::error_code unknown;
    picture.source = fs::absolute(query.file.path, unknown).string();
    picture.size = record.size;
  }
  picture.score = record.image_score;
  picture.verdict = record.verdict;
  picture.regions = record.regions.size();
  if (record.query.known) picture.label = record.query.known->defect;
  if (record.error) picture.error = *record.error;
  if (record.query.overlay) {
    picture.overlay = record.query.overlay->lexically_relative(plan_.out).string();
  }
  add_jpegs(picture, rgb, overlay);
  return picture;
}

void ScoreRun::keep(Finished finished) {
  ScoreRecord& record = finished.record;
  if (record.error) observer_.error("skipped: " + *record.error);
  for (const auto& warning : finished.warnings) observer_.warn(warning);
  if (drift_ && !record.error) {
    stream_scores_.push_back(record.image_score);
    const auto told = drift_->see(finished.image, finished.raw_score);
    if (told) observer_.warn(*told);
  }
  if (reports()) {
    report_.push_back(std::move(finished.picture));
    keep_hottest_overlays(report_);
  }
  if (!streaming_ && observer_.scored) observer_.scored(record);
  records_.push_back(std::move(record));
}

void ScoreRun::save() const {
  if (!plan_.out.empty() && plan_.tables) write_records(plan_, records_);
}

}  // namespace nagl::jobs
