#include "score_run.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <fmt/ostream.h>
#include <spdlog/spdlog.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <iostream>
#include <map>
#include <opencv2/core.hpp>
#include <opencv2/imgproc.hpp>
#include <set>

#include "interrupt.h"
#include "nagl/core/atomic_file.h"
#include "nagl/core/error.h"
#include "nagl/core/read_ahead.h"
#include "nagl/image/anomaly_map.h"
#include "runtime.h"

namespace nagl::apps {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kLargestCopy = (std::size_t{1} << 31) - 1;

/// A file of lines that grows; each line reaches it whole.
class LineFile {
 public:
  explicit LineFile(const fs::path& path)
      : path_(path),
        descriptor_(::open(path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666)) {
    if (descriptor_ < 0) fail();
  }
  ~LineFile() { ::close(descriptor_); }
  LineFile(const LineFile&) = delete;
  LineFile& operator=(const LineFile&) = delete;

  void append(const std::string& line) {
    if (::write(descriptor_, line.data(), line.size()) != static_cast<ssize_t>(line.size())) fail();
  }

 private:
  [[noreturn]] void fail() const {
    throw DataError("cannot write '" + path_.string() +
                    "'; check the folder's permissions and the free disk space");
  }

  fs::path path_;
  int descriptor_;
};

bool exists(const std::optional<fs::path>& path) {
  std::error_code error;
  return path && fs::exists(fs::symlink_status(*path, error));
}

/// What tells whether a watched picture is the one that was scored: its path, size and time.
std::string state_of(const fs::path& path) {
  std::error_code error;
  const auto size = fs::file_size(path, error);
  const auto time = fs::last_write_time(path, error).time_since_epoch().count();
  return fmt::format("{} {} {}", path.string(), size, time);
}

/// The states that the lines of an earlier watch name.
std::set<std::string> states_in(const fs::path& json_lines) {
  std::set<std::string> states;
  std::ifstream file(json_lines);
  for (std::string line; std::getline(file, line);) {
    const Json record = Json::parse(line, nullptr, /*allow_exceptions=*/false);
    if (record.is_object() && record.contains("state") && record["state"].is_string()) {
      states.insert(record["state"].get<std::string>());
    }
  }
  return states;
}

}  // namespace

ScoreRun::ScoreRun(const ScoreArguments& arguments, const OutputPlan& plan,
                   const Detector& detector, std::optional<ColourScale> scale,
                   LowValueWarning& low_values)
    : arguments_(arguments),
      plan_(plan),
      detector_(detector),
      scale_(scale),
      low_values_(low_values) {}

void ScoreRun::score(const std::vector<PlannedQuery>& queries, std::int64_t batch_size) {
  Progress progress("scoring", static_cast<std::int64_t>(queries.size()));
  progress_ = &progress;
  for (const auto& query : queries) {
    name_width_ = std::max(name_width_, query.file.relative().string().size());
  }
  if (!arguments_.json) {
    fmt::print(std::cout, "{:<{}}  score   {}label\n", "file", name_width_,
               detector_.bank().calibration ? "verdict    " : "");
  }
  try {
    ReadAhead<Loaded> reader(
        queries.size(), [&](std::size_t i) { return load(queries[i]); },
        items_ahead(batch_size, detector_.backbone().device()));
    std::vector<Loaded> batch;
    for (const auto& query : queries) {
      const bool unheard = plan_.out.empty() && !std::cout;  // nobody sees the scores any more
      if (interrupted() || unheard) break;
      batch.push_back(reader.next());
      warn_of_low_values(batch.back());
      if (static_cast<std::int64_t>(batch.size()) == batch_size || &query == &queries.back()) {
        score_batch(std::exchange(batch, {}));
        progress.update(static_cast<std::int64_t>(records_.size()));
      }
    }
  } catch (...) {
    progress.clear();
    save();
    throw;
  }
  progress.clear();
  progress_ = nullptr;
  complete_ = records_.size() == queries.size();
  save();
}

void ScoreRun::score(QueryStream& stream, FolderWatch* watch,
                     const std::function<PlannedQuery(const PictureFile&)>& plan_query) {
  streaming_ = true;
  std::optional<LineFile> lines;
  std::set<std::string> earlier;  // what an earlier watch has a line of
  if (!plan_.out.empty()) {
    if (watch != nullptr) earlier = states_in(plan_.json_lines());
    lines.emplace(plan_.json_lines());
  }
  std::map<fs::path, fs::path> owners;  // the picture that a map belongs to
  std::size_t kept = 0;
  while (const auto picture = stream.next()) {
    if (plan_.out.empty() && !std::cout) break;  // nobody sees the scores any more
    const std::string state = watch != nullptr ? state_of(picture->file.path) : "";
    if (!state.empty() && earlier.contains(state)) {
      ++kept;
      continue;
    }
    Loaded item;
    item.planned.file = picture->file;
    try {
      item.planned = plan_query(picture->file);
      if (item.planned.map) {
        const auto [owner, fresh] = owners.emplace(*item.planned.map, picture->file.path);
        if (owner->second != picture->file.path) {
          throw DataError(fmt::format("'{}' and '{}' would both be written to '{}'",
                                      owner->second.string(), picture->file.path.string(),
                                      owner->first.string()));
        }
        if (fresh && watch == nullptr && !arguments_.overwrite && exists(item.planned.map)) {
          throw DataError(fmt::format("'{}' exists; give --overwrite to replace it",
                                      item.planned.map->string()));
        }
      }
      item = load(item.planned);
      warn_of_low_values(item);
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
    score_streamed(item);
    Json line = records_.back().json();
    if (!state.empty()) line["state"] = state;
    if (lines) lines->append(dump_json(line) + "\n");
    std::cout << dump_json(line) << std::endl;
    streamed_ += 1;
    streamed_skipped_ += records_.back().error.has_value();
    streamed_anomalous_ += records_.back().verdict == Verdict::kAnomalous;
    records_.clear();
  }
  complete_ = watch != nullptr || !interrupted();
  if (kept > 0) {
    spdlog::info(
        "{} pictures have a line in '{}' already and were left alone (--overwrite scores "
        "them again)",
        kept, plan_.json_lines().string());
  }
}

void ScoreRun::score_streamed(const Loaded& item) {
  if (item.error) {
    skip(item);
    return;
  }
  std::optional<Detection> detection;
  try {
    detection = detector_.detect(item.query);
  } catch (const DataError& error) {  // a region of interest that leaves nothing
    Loaded failed = item;
    failed.error = error.what();
    skip(failed);
    return;
  }
  finish(item, *detection);
}

Json ScoreRun::summary() const {
  if (!streaming_) return summarize(records_);
  Json summary;
  summary["scored"] = streamed_ - streamed_skipped_;
  summary["skipped"] = streamed_skipped_;
  if (detector_.bank().calibration) summary["called_anomalous"] = streamed_anomalous_;
  return summary;
}

void ScoreRun::score_batch(const std::vector<Loaded>& batch) {
  std::vector<Query> queries;
  for (const auto& item : batch) {
    if (!item.error) queries.push_back(item.query);
  }
  auto detections = detector_.detect(queries);
  auto detection = detections.begin();
  for (const auto& item : batch) {
    if (item.error) {
      skip(item);
    } else {
      finish(item, *detection++);
    }
  }
}

ScoreRun::Loaded ScoreRun::load(const PlannedQuery& planned) const {
  Loaded loaded{planned, {}, {}, {}};
  try {
    loaded.query.image = read_image(planned.file.path, detector_.options().decode);
    // Now, since a watched picture may be gone by the time that its verdict is known.
    if (planned.normal) loaded.bytes = read_file(planned.file.path, kLargestCopy);
    if (planned.roi) {
      loaded.query.roi = read_mask_for(loaded.query.image, *planned.roi);
      detector_.roi_patches(loaded.query.roi);  // throws if there are none
    }
  } catch (const DataError& error) {
    loaded.error = error.what();
  }
  return loaded;
}

void ScoreRun::warn_of_low_values(const Loaded& item) {
  Progress hidden("", 0);
  low_values_.see(item.query.image, progress_ != nullptr ? *progress_ : hidden);
}

void ScoreRun::skip(const Loaded& item) {
  if (progress_ != nullptr) progress_->clear();
  spdlog::error("skipped: {}", *item.error);
  ScoreRecord record;
  record.query = item.planned;
  record.error = item.error;
  remember(record, {}, {});
  report(std::move(record));
}

void ScoreRun::finish(const Loaded& item, const Detection& detection) {
  ScoreRecord record;
  record.query = item.planned;
  record.image_score = detection.image_score;
  record.size = detection.map.size();
  record.verdict = detection.verdict;
  record.regions = detection.regions;
  cv::minMaxLoc(detection.map, nullptr, &record.peak_score, nullptr, &record.peak);
  if (item.planned.map) {
    if (arguments_.map_format == "npy") {
      write_map_npy(*item.planned.map, detection.map);
    } else {
      write_map_png(*item.planned.map, detection.map);
    }
  }
  cv::Mat overlay;
  if (item.planned.overlay) {
    overlay = overlay_of(item, detection);
    write_png(*item.planned.overlay, overlay);
  }
  if (item.planned.normal) write_sorted(item, detection.verdict);
  remember(record, item.query.image.rgb, overlay);
  report(std::move(record));
}

cv::Mat ScoreRun::overlay_of(const Loaded& item, const Detection& detection) const {
  OverlayContent content;
  content.rgb = item.query.image.rgb;
  content.map = detection.map;
  if (!item.query.roi.empty()) {
    cv::resize(item.query.roi, content.roi, detection.map.size(), 0, 0, cv::INTER_NEAREST);
  }
  content.scale = scale_ ? *scale_ : scale_of(detection.map, content.roi);
  content.caption = fmt::format("score {:.4f}", detection.image_score);
  if (detection.verdict != Verdict::kUnknown) {
    content.caption += "   " + to_string(detection.verdict);
  }
  if (const auto& calibration = detector_.bank().calibration) {
    content.threshold = calibration->map_threshold;
  }
  const auto& known = item.planned.known;
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

void ScoreRun::write_sorted(const Loaded& item, Verdict verdict) const {
  const bool anomalous = verdict == Verdict::kAnomalous;
  write_file(anomalous ? *item.planned.anomalous : *item.planned.normal, item.bytes);
  std::error_code ignored;  // an earlier run may have thought otherwise
  fs::remove(anomalous ? *item.planned.normal : *item.planned.anomalous, ignored);
}

void ScoreRun::remember(const ScoreRecord& record, const cv::Mat& rgb, const cv::Mat& overlay) {
  if (streaming_ || plan_.out.empty() || !plan_.report) return;
  ReportPicture picture;
  picture.path = record.query.file.relative().string();
  picture.score = record.image_score;
  picture.verdict = record.verdict;
  picture.regions = record.regions.size();
  if (record.query.known) picture.label = record.query.known->defect;
  if (record.error) picture.error = *record.error;
  if (record.query.overlay) {
    picture.overlay = record.query.overlay->lexically_relative(plan_.out).string();
  }
  add_jpegs(picture, rgb, overlay);
  report_.push_back(std::move(picture));
  keep_hottest_overlays(report_);
}

void ScoreRun::report(ScoreRecord record) {
  if (progress_ != nullptr) progress_->clear();
  if (streaming_) {
    // Its line is written by `score`, which knows the picture's state.
  } else if (arguments_.json) {
    std::cout << dump_json(record.json()) << std::endl;
  } else {
    const auto& known = record.query.known;
    fmt::print(std::cout, "{:<{}}  {}  {}{}\n", record.query.file.relative().string(), name_width_,
               record.error ? "skipped" : fmt::format("{:.4f}", record.image_score),
               detector_.bank().calibration
                   ? fmt::format("{:<11}", record.error ? "" : to_string(record.verdict))
                   : "",
               known ? known->defect : "");
    std::cout.flush();
  }
  records_.push_back(std::move(record));
}

void ScoreRun::save() const {
  if (!plan_.out.empty()) write_records(plan_, records_);
}

}  // namespace nagl::apps
