#pragma once

#include <filesystem>
#include <functional>
#include <optional>
#include <vector>

#include "nagl/core/enum_names.h"
#include "nagl/core/json.h"
#include "nagl/detection/detector.h"
#include "nagl/jobs/observer.h"
#include "nagl/jobs/requests.h"
#include "nagl/jobs/runtime.h"
#include "nagl/jobs/score_output.h"
#include "nagl/jobs/sharding.h"
#include "nagl/publishing/publisher.h"

namespace nagl::jobs {

/// How anomaly maps are written.
enum class MapFormat {
  kPng,  ///< 16 bit, round(65535 x score)
  kNpy,  ///< float32, exact
};
constexpr auto names_of(MapFormat) {
  return EnumNames<MapFormat, 2>{"map format",
                                 {{{MapFormat::kPng, "png"}, {MapFormat::kNpy, "npy"}}}};
}

/// What the colours of overlays stand for.
enum class OverlayScale {
  kReferences,  ///< one scale for the run, from what good references score
  kAuto,        ///< one a picture
};
constexpr auto names_of(OverlayScale) {
  return EnumNames<OverlayScale, 2>{
      "scale", {{{OverlayScale::kReferences, "references"}, {OverlayScale::kAuto, "auto"}}}};
}

/// What was asked of verdicts and regions, where anything was; scores as users see them. The rest
/// is as the bank's calibration says.
struct VerdictRequest {
  std::optional<double> threshold;            ///< of the image score
  std::optional<double> map_threshold;        ///< without a calibration that of the image score
  std::optional<double> uncertain_threshold;  ///< below `threshold`
  bool uncertain = false;                     ///< three verdicts, by the calibration's thresholds
  std::int64_t least_area = 0;                ///< smaller regions are none; in pixels

  bool three() const { return uncertain || uncertain_threshold; }
  /// Whether there can be verdicts without a calibration.
  bool suffices() const { return threshold && (!uncertain || uncertain_threshold); }
  /// @throws ConfigError on values out of range, in the wrong order, or that nothing completes
  std::optional<Thresholds> over(const Bank& bank) const;
};

/// What pictures are scored against, where to look, and what is written.
struct ScoreOptions {
  std::filesystem::path bank;  ///< a bank's file; empty: one is made of `pictures`
  PictureSelection pictures;
  BankRequest request;
  std::filesystem::path roi;  ///< a mask for all queries, or a folder of them; empty: everywhere
  VerdictRequest verdict;
  std::filesystem::path out;        ///< folder of results; empty: none are written
  std::filesystem::path masks_out;  ///< folder of binary masks of the regions; empty: none
  MapFormat map_format = MapFormat::kPng;
  OverlayScale scale = OverlayScale::kReferences;
  bool overlays = true;
  bool report = true;
  bool normal_frames = false;  ///< of a video, maps and overlays of normal frames too
  bool sorted = false;         ///< copy pictures by their verdict
  bool overwrite = false;      ///< replace files that exist
  bool needs_verdict = false;  ///< a run without verdicts is refused
  RuntimeOptions runtime;
  ShardRequest sharding;
  PublishOptions publish;  ///< where each record goes too; without a spool folder it is below `out`
};

/// What scoring tells while it goes on, beside what every job does; any may be empty.
struct ScoreObserver : JobObserver {
  /// Everything is loaded; the pictures, unless they come in a stream.
  std::function<void(const std::vector<QueryFile>&, const Detector&)> started;
  std::function<void(const ScoreRecord&)> scored;  ///< each picture, or why it was skipped
};

/// What came of it.
struct ScoreResult {
  Json summary;           ///< as in run.json: counts, image AUROC, seconds
  OutputPlan plan;        ///< where results are
  bool complete = false;  ///< false: it was stopped, and what was scored until then is saved
};

/// Scores pictures, or folders of them, and writes maps, overlays, tables and a report. A picture
/// that cannot be used is skipped, and its record says why.
/// @throws Error naming what is wrong with options, references, bank or output folder, before any
///         picture is scored; DataError if results cannot be written
ScoreResult score_folder(const ScoreOptions& options,
                         const std::vector<std::filesystem::path>& queries,
                         const ScoreObserver& observer = {});

/// Scores the pictures that a file lists, one path a line, as the lines come: a record each in
/// `results.jsonl` at once.
/// @param descriptor of the open file, e.g. standard input
ScoreResult score_listed(const ScoreOptions& options, int descriptor,
                         const ScoreObserver& observer = {});

struct WatchOptions {
  std::filesystem::path folder;
  double settle = 1;  ///< seconds that a file must not have changed before it counts as complete
};

/// Scores the pictures of a folder and further ones as they appear, until it is stopped. Pictures
/// that an earlier watch wrote a record of are left alone.
ScoreResult watch_folder(const ScoreOptions& options, const WatchOptions& watch,
                         const ScoreObserver& observer = {});

}  // namespace nagl::jobs
