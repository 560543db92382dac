#include "score_run.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <fmt/ostream.h>
#include <spdlog/spdlog.h>
#include <unistd.h>

#include <algorithm>
#include <iostream>
#include <opencv2/core.hpp>
#include <opencv2/imgproc.hpp>
#include <set>

#include "interrupt.h"
#include "nagl/core/atomic_file.h"
#include "nagl/core/error.h"
#include "nagl/image/anomaly_map.h"
#include "runtime.h"

namespace nagl::apps {
namespace {

namespace fs = std::filesystem;

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
    std::vector<const PlannedQuery*> batch;
    for (const auto& query : queries) {
      const bool unheard = plan_.out.empty() && !std::cout;  // nobody sees the scores any more
      if (interrupted() || unheard) break;
      batch.push_back(&query);
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
  if (!plan_.out.empty()) {
    std::error_code ignored;
    if (arguments_.overwrite) fs::remove(plan_.json_lines(), ignored);
    if (watch == nullptr && exists(plan_.json_lines())) {
      throw ConfigError(fmt::format("'{}' exists; give --overwrite to replace it, or another --out",
                                    plan_.json_lines().string()));
    }
    lines.emplace(plan_.json_lines());
  }
  std::set<fs::path> own;  // maps that this run wrote, and may write again
  std::size_t kept = 0;
  while (const auto picture = stream.next()) {
    if (plan_.out.empty() && !std::cout) break;  // nobody sees the scores any more
    Loaded item{{picture->file, {}, {}, {}, {}, {}}, {}, {}};
    try {
      PlannedQuery planned = plan_query(picture->file);
      if (exists(planned.map) && !own.contains(*planned.map) && !arguments_.overwrite) {
        if (watch != nullptr) {  // an earlier watch scored it
          ++kept;
          continue;
        }
        throw DataError(fmt::format("'{}' exists; give --overwrite to replace it, or another --out",
                                    planned.map->string()));
      }
      if (planned.map) own.insert(*planned.map);
      item = load(planned);
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
    if (item.error) {
      skip(item);
    } else {
      finish(item, detector_.detect(item.query));
    }
    if (lines) lines->append(dump_json(records_.back().json()) + "\n");
    streamed_ += 1;
    streamed_skipped_ += records_.back().error.has_value();
    streamed_anomalous_ += records_.back().verdict == Verdict::kAnomalous;
    records_.clear();
  }
  if (kept > 0) {
    spdlog::info(
        "{} pictures had results in '{}' already and were left alone (--overwrite scores "
        "them again)",
        kept, plan_.out.string());
  }
}

Json ScoreRun::summary() const {
  if (!streaming_) return summarize(records_);
  Json summary;
  summary["scored"] = streamed_ - streamed_skipped_;
  summary["skipped"] = streamed_skipped_;
  if (detector_.bank().calibration) summary["called_anomalous"] = streamed_anomalous_;
  return summary;
}

void ScoreRun::score_batch(const std::vector<const PlannedQuery*>& batch) {
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

ScoreRun::Loaded ScoreRun::load(const PlannedQuery& planned) {
  Loaded loaded{planned, {}, {}};
  try {
    loaded.query.image = read_image(planned.file.path, detector_.options().decode);
    if (planned.roi) {
      loaded.query.roi = read_mask_for(loaded.query.image, *planned.roi);
      detector_.roi_patches(loaded.query.roi);  // throws if there are none
    }
  } catch (const DataError& error) {
    loaded.error = error.what();
  }
  Progress hidden("", 0);
  low_values_.see(loaded.query.image, progress_ != nullptr ? *progress_ : hidden);
  return loaded;
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
  if (item.planned.sorted) write_sorted(item, detection.verdict);
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
  const fs::path& from = item.planned.file.path;
  for (const auto other : {Verdict::kNormal, Verdict::kAnomalous}) {
    const fs::path to = plan_.out / "sorted" / to_string(other) / *item.planned.sorted;
    std::error_code error;
    if (other != verdict) {
      fs::remove(to, error);  // an earlier run thought otherwise
      continue;
    }
    write_file(to, read_file(from, fs::file_size(from, error)));
  }
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
  add_pictures(picture, rgb, overlay);
  report_.push_back(std::move(picture));
  keep_hottest_overlays(report_);
}

void ScoreRun::report(ScoreRecord record) {
  if (progress_ != nullptr) progress_->clear();
  if (arguments_.json || streaming_) {
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
