#include "nagl/jobs/score_output.h"

#include <fmt/format.h>

#include <cmath>
#include <map>
#include <opencv2/core.hpp>
#include <set>

#include "nagl/core/atomic_file.h"
#include "nagl/core/csv.h"
#include "nagl/core/duration.h"
#include "nagl/core/error.h"
#include "nagl/core/file_part.h"
#include "nagl/core/json_lines.h"
#include "nagl/metrics/ranking_metrics.h"

namespace nagl::jobs {
namespace {

namespace fs = std::filesystem;

/// As far as the path exists, without symbolic links.
fs::path resolved_path(const fs::path& path) {
  std::error_code error;
  const fs::path resolved = fs::weakly_canonical(fs::absolute(path, error), error);
  return error ? path : resolved;
}

std::string csv_row(const ScoreRecord& record) {
  const QueryFile& query = record.query;
  const auto text = [](const std::optional<fs::path>& path) {
    return path ? csv_field(path->string()) : std::string();
  };
  const bool scored = !record.error;
  const bool judged = scored && record.verdict != Verdict::kUnknown;
  return fmt::format(
      "{},{},{},{},{},{},{},{}\n", csv_field(query.file.path.string()),
      scored ? fmt::format("{:.6f}", record.image_score) : "",
      query.known ? csv_field(query.known->defect) : "", judged ? to_string(record.verdict) : "",
      judged ? fmt::format("{}", record.regions.size()) : "", scored ? text(query.map) : "",
      scored ? text(query.overlay) : "", scored ? "" : csv_field(*record.error));
}

std::string region_rows(const ScoreRecord& record) {
  std::string rows;
  for (const auto& region : record.regions) {
    rows += fmt::format("{},{},{},{},{},{},{},{},{:.6f},{:.6f}\n",
                        csv_field(record.query.file.path.string()), region.box.x, region.box.y,
                        region.box.width, region.box.height, region.area, region.peak.x,
                        region.peak.y, region.peak_score, region.mean_score);
  }
  return rows;
}

}  // namespace

fs::path place_of(const fs::path& picture) {
  std::error_code error;
  const fs::path absolute = fs::absolute(picture, error).lexically_normal();
  const fs::path below = absolute.lexically_relative(fs::current_path(error));
  if (!below.empty() && *below.begin() != "..") return below;
  return absolute.relative_path();
}

std::vector<fs::path> QueryFile::outputs() const {
  std::vector<fs::path> all;
  for (const auto& file : {map, overlay, region_mask}) {
    if (file) all.push_back(*file);
  }
  for (const auto& [verdict, file] : sorted) all.push_back(file);
  return all;
}

void OutputPlan::assign(QueryFile& query) const {
  const fs::path place = query.place.empty() ? query.file.relative() : query.place;
  const fs::path stem = stem_of(place);
  if (!masks.empty()) {
    query.region_mask = masks / stem;
    *query.region_mask += ".png";
  }
  if (out.empty()) return;
  query.map = out / "maps" / stem;
  *query.map += map_extension;
  if (overlays) {
    query.overlay = out / "overlays" / stem;
    *query.overlay += ".png";
  }
  if (!sort) return;
  for (const Verdict verdict : {Verdict::kNormal, Verdict::kUncertain, Verdict::kAnomalous}) {
    // A part of a file is copied as a picture of its own.
    const bool part = !file_part_of(query.file.path).part.empty();
    query.sorted[verdict] = out / "sorted" / to_string(verdict) / place;
    if (part)
      query.sorted[verdict] = out / "sorted" / to_string(verdict) / (stem.string() + ".png");
  }
}

void OutputPlan::assign(std::vector<QueryFile>& queries, bool overwrite) const {
  std::map<fs::path, fs::path> owner;
  const auto check_free = [&](const fs::path& file) {
    std::error_code error;
    if (!overwrite && fs::exists(fs::symlink_status(file, error))) {
      throw ConfigError("'" + file.string() +
                        "' exists; give --overwrite to replace it, or another --out");
    }
  };
  if (!out.empty()) {
    for (const auto& file : {json_lines(), csv(), regions(), html(), run()}) check_free(file);
  }
  std::map<fs::path, int> sharing;
  for (const auto& query : queries) ++sharing[stem_of(query.file.relative())];
  for (auto& query : queries) {
    fs::path relative = stem_of(query.file.relative());
    if (sharing[relative] > 1) {
      query.place = place_of(query.file.path);
      relative = stem_of(query.place);
    }
    const auto [entry, fresh] = owner.emplace(relative, query.file.path);
    if (!fresh) {
      throw ConfigError("queries '" + entry->second.string() + "' and '" +
                        query.file.path.string() + "' would both be written to '" +
                        relative.string() + ".*'; score them in separate runs");
    }
    assign(query);
    std::set<fs::path> own;
    for (const auto& file : query.outputs()) {
      check_free(file);
      if (own.insert(resolved_path(file)).second) continue;
      throw ConfigError("'" + file.string() +
                        "' would be written twice; choose another folder for --masks-out");
    }
  }
}

void OutputPlan::check_outside(const fs::path& input_folder) const {
  std::error_code error;
  if (!fs::is_directory(input_folder, error)) return;
  for (const auto& folder : {out, masks}) {
    if (folder.empty()) continue;
    const fs::path relative = resolved_path(folder).lexically_relative(resolved_path(input_folder));
    if (relative.empty() || *relative.begin() == "..") continue;
    throw ConfigError("the output folder '" + folder.string() + "' lies inside '" +
                      input_folder.string() +
                      "', where the next run would take its pictures for inputs; choose another");
  }
}

void OutputPlan::check_keeps(const std::vector<fs::path>& inputs,
                             const std::vector<QueryFile>& queries) const {
  std::set<fs::path> kept;
  for (const auto& input : inputs) kept.insert(resolved_path(input));
  for (const auto& query : queries) {
    for (const auto& planned : query.outputs()) {
      if (kept.contains(resolved_path(planned))) {
        throw ConfigError("the output '" + planned.string() +
                          "' would replace an input; choose another --out");
      }
    }
  }
}

void OutputPlan::remove_stale() const {
  std::error_code ignored;  // what cannot be removed cannot be replaced, which will be said
  for (const auto& file : {json_lines(), csv(), regions(), html(), run()}) {
    fs::remove(file, ignored);
  }
  fs::remove_all(out / ".shards", ignored);
}

Json ScoreRecord::json() const {
  Json line;
  line["path"] = query.file.path.string();
  if (query.frame) {
    line["frame"] = query.frame->number;
    line["seconds"] = std::round(1000 * query.frame->seconds) / 1000;
    if (query.frame->taken != 0) line["time"] = utc_time(query.frame->taken);
    if (query.frame->trigger) line["trigger"] = *query.frame->trigger;
  }
  if (query.known) line["label"] = query.known->defect;
  const auto with_state = [&] {
    if (!state.empty()) line["state"] = state;
    return line;
  };
  if (error) {
    line["error"] = *error;
    return with_state();
  }
  line["image_score"] = image_score;
  if (verdict != Verdict::kUnknown) line["verdict"] = to_string(verdict);
  line["peak"] = {{"x", peak.x}, {"y", peak.y}, {"score", peak_score}};
  line["height"] = size.height;
  line["width"] = size.width;
  if (verdict != Verdict::kUnknown) {
    Json& list = line["regions"] = Json::array();
    for (const auto& region : regions) {
      list.push_back({{"box",
                       {{"x", region.box.x},
                        {"y", region.box.y},
                        {"width", region.box.width},
                        {"height", region.box.height}}},
                      {"area", region.area},
                      {"peak", {{"x", region.peak.x}, {"y", region.peak.y}}},
                      {"peak_score", region.peak_score},
                      {"mean_score", region.mean_score}});
    }
  }
  if (query.map) line["map"] = query.map->string();
  if (query.overlay) line["overlay"] = query.overlay->string();
  if (query.region_mask) line["region_mask"] = query.region_mask->string();
  return with_state();
}

ScoreRecord record_of(const QueryFile& query, const Detection& detection) {
  ScoreRecord record;
  record.query = query;
  record.image_score = detection.image_score;
  record.size = detection.map.size();
  record.verdict = detection.verdict;
  record.regions = detection.regions;
  cv::minMaxLoc(detection.map, nullptr, &record.peak_score, nullptr, &record.peak);
  return record;
}

ScoreRecord record_from_json(const Json& line, const QueryFile& query) {
  ScoreRecord record;
  record.query = query;
  if (line.contains("error")) {
    record.error = line.at("error").get<std::string>();
    return record;
  }
  const auto point = [](const Json& json) {
    return cv::Point(json.at("x").get<int>(), json.at("y").get<int>());
  };
  record.image_score = line.at("image_score").get<double>();
  record.size = {line.at("width").get<int>(), line.at("height").get<int>()};
  record.peak = point(line.at("peak"));
  record.peak_score = line.at("peak").at("score").get<double>();
  if (!line.contains("verdict")) return record;
  parse(line.at("verdict").get<std::string>(), record.verdict);
  for (const auto& one : line.at("regions")) {
    const Json& box = one.at("box");
    record.regions.push_back({cv::Rect(box.at("x").get<int>(), box.at("y").get<int>(),
                                       box.at("width").get<int>(), box.at("height").get<int>()),
                              one.at("area").get<std::int64_t>(), point(one.at("peak")),
                              one.at("peak_score").get<double>(),
                              one.at("mean_score").get<double>()});
  }
  return record;
}

void write_records(const OutputPlan& plan, const std::vector<ScoreRecord>& records) {
  std::string lines, rows = "path,image_score,label,verdict,regions,map,overlay,error\n";
  std::string regions = "path,x,y,width,height,area,peak_x,peak_y,peak_score,mean_score\n";
  bool judged = false;
  for (const auto& record : records) {
    lines += json_line(record.json());
    rows += csv_row(record);
    regions += region_rows(record);
    judged = judged || record.verdict != Verdict::kUnknown;
  }
  write_file(plan.json_lines(), lines);
  write_file(plan.csv(), rows);
  if (judged) write_file(plan.regions(), regions);
}

Json summarize(const std::vector<ScoreRecord>& records,
               const std::optional<Thresholds>& thresholds) {
  std::vector<double> scores;
  std::vector<std::uint8_t> labels;
  std::size_t skipped = 0, unknown = 0, anomalous = 0, called = 0, uncertain = 0;
  for (const auto& record : records) {
    if (record.error) {
      ++skipped;
      continue;
    }
    called += record.verdict == Verdict::kAnomalous;
    uncertain += record.verdict == Verdict::kUncertain;
    if (!record.query.known) {
      ++unknown;
    } else {
      scores.push_back(record.image_score);
      labels.push_back(record.query.known->anomalous());
      anomalous += labels.back();
    }
  }
  Json summary;
  summary["scored"] = records.size() - skipped;
  summary["skipped"] = skipped;
  summary["good"] = labels.size() - anomalous;
  summary["anomalous"] = anomalous;
  if (thresholds) summary["called_anomalous"] = called;
  if (thresholds && thresholds->uncertain) summary["called_uncertain"] = uncertain;
  const auto area = unknown == 0 ? auroc(scores, labels) : std::nullopt;
  summary["image_auroc"] = area ? Json(*area) : Json(nullptr);
  if (!area) {
    summary["image_auroc_reason"] =
        unknown > 0 ? "true labels are not known (queries outside an MVTec layout)"
                    : "the queries are all of one class";
  }
  return summary;
}

}  // namespace nagl::jobs
