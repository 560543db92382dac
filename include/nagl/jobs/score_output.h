#pragma once

#include <filesystem>
#include <map>
#include <opencv2/core/types.hpp>
#include <optional>
#include <string>
#include <vector>

#include "nagl/core/json.h"
#include "nagl/dataset/dataset.h"
#include "nagl/dataset/pictures.h"
#include "nagl/detection/detector.h"

namespace nagl::jobs {

/// Which frame of a video a picture is.
struct FrameFacts {
  std::int64_t number = 0;
  double seconds = 0;                  ///< of a file its place in it, else since the start
  std::int64_t taken = 0;              ///< when it came, seconds since 1970, UTC; 0: of a file
  std::optional<std::string> trigger;  ///< the line that asked for it
};

/// A file to score, with what is known of it and where its results go (no paths without an output
/// folder).
struct QueryFile {
  PictureFile file;
  std::filesystem::path place;  ///< below the folders of the output; empty: below those of inputs
  std::optional<Sample> known;  ///< label and mask, from an MVTec layout
  std::optional<std::filesystem::path> roi;  ///< region of interest
  std::optional<std::filesystem::path> map, overlay;
  std::optional<std::filesystem::path> region_mask;  ///< of its regions
  std::map<Verdict, std::filesystem::path> sorted;   ///< its copy below `sorted/`, by verdict
  std::optional<FrameFacts> frame{};                 ///< of a video

  /// All files that are planned for it.
  std::vector<std::filesystem::path> outputs() const;
  /// The one by which two pictures are seen to share their outputs; null: there is none.
  const std::optional<std::filesystem::path>& first_output() const {
    return map ? map : region_mask;
  }
};

/// The place of a picture by its whole path: below the working folder, else below the root.
std::filesystem::path place_of(const std::filesystem::path& picture);

/// What the output folder will hold.
struct OutputPlan {
  std::filesystem::path out;    ///< empty: none of what would lie there
  std::filesystem::path masks;  ///< folder of binary masks; empty: none
  std::string map_extension = ".png";
  bool overlays = true, report = true, sort = false;
  bool tables = true;  ///< false: the records are kept by whoever asked for them

  /// Whether anything is written.
  bool writes() const { return !out.empty() || !masks.empty(); }
  std::filesystem::path json_lines() const { return out / "results.jsonl"; }
  std::filesystem::path csv() const { return out / "results.csv"; }
  std::filesystem::path regions() const { return out / "regions.csv"; }
  std::filesystem::path html() const { return out / "report.html"; }
  std::filesystem::path run() const { return out / "run.json"; }

  /// Gives one query its files, by its place.
  void assign(QueryFile& query) const;

  /// Removes what an earlier run left and this one does not write.
  void remove_stale() const;

  /// Gives each query its files, `maps/` and `overlays/` plus its path below the folder it was
  /// found in; where two would share one, plus their whole paths. @throws ConfigError if two
  /// queries would share a file, or a file exists and `overwrite` is false.
  void assign(std::vector<QueryFile>& queries, bool overwrite) const;

  /// Throws ConfigError if one of its folders lies inside a folder of inputs, where the next run
  /// would take its pictures for more of them.
  void check_outside(const std::filesystem::path& input_folder) const;

  /// Throws ConfigError if one of the planned files is one of `inputs`.
  void check_keeps(const std::vector<std::filesystem::path>& inputs,
                   const std::vector<QueryFile>& queries) const;
};

/// One scored (or skipped) query.
struct ScoreRecord {
  QueryFile query;
  std::optional<std::string> error;  ///< why it was skipped
  double image_score = 0;
  cv::Size size;
  cv::Point peak;
  double peak_score = 0;
  Verdict verdict = Verdict::kUnknown;
  std::vector<Region> regions;
  std::string state;  ///< of a watched file: what tells whether it has changed since

  Json json() const;
};

/// What is recorded of a picture that was scored.
ScoreRecord record_of(const QueryFile& query, const Detection& detection);

/// The record of a line that `ScoreRecord::json` made. @param query as it was planned
/// @throws Json::exception on another
ScoreRecord record_from_json(const Json& line, const QueryFile& query);

/// `results.jsonl`, `results.csv` and, with verdicts, `regions.csv`.
void write_records(const OutputPlan& plan, const std::vector<ScoreRecord>& records);

/// Pictures, skipped pictures, verdicts, and image AUROC (null with a reason where there is none).
Json summarize(const std::vector<ScoreRecord>& records,
               const std::optional<Thresholds>& thresholds);

}  // namespace nagl::jobs
