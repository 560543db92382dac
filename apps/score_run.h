#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "nagl/core/progress.h"
#include "nagl/detection/detector.h"
#include "nagl/evaluation/score_report.h"
#include "nagl/image/overlay.h"
#include "query_stream.h"
#include "references.h"
#include "score_arguments.h"
#include "score_output.h"

namespace nagl::apps {

/// One run of `nagl score`, from the loaded detector on.
class ScoreRun {
 public:
  ScoreRun(const ScoreArguments& arguments, const OutputPlan& plan, const Detector& detector,
           std::optional<ColourScale> scale, LowValueWarning& low_values);

  /// Scores all queries, or those before an interruption. What was scored is written in any case.
  void score(const std::vector<PlannedQuery>& queries, std::int64_t batch_size);

  /// Scores pictures as they come, one at a time; a line each goes to standard output and to
  /// `results.jsonl` at once.
  /// @param plan_query gives a picture its region of interest and its true label
  void score(QueryStream& stream, FolderWatch* watch,
             const std::function<PlannedQuery(const PictureFile&)>& plan_query);

  /// The pictures of `score`, and of a stream their counts.
  Json summary() const;
  bool complete() const { return complete_; }
  const std::vector<ReportPicture>& report() const { return report_; }

 private:
  struct Loaded {
    PlannedQuery planned;
    Query query;
    std::string bytes;  ///< of the file, where it is to be copied
    std::optional<std::string> error;
  };

  void score_batch(const std::vector<Loaded>& batch);
  Loaded load(const PlannedQuery& planned) const;
  void warn_of_low_values(const Loaded& item);
  void skip(const Loaded& item);
  void finish(const Loaded& item, const Detection& detection);
  cv::Mat overlay_of(const Loaded& item, const Detection& detection) const;
  void write_sorted(const Loaded& item, Verdict verdict) const;
  void score_streamed(const Loaded& item);
  void remember(const ScoreRecord& record, const cv::Mat& rgb, const cv::Mat& overlay);
  void report(ScoreRecord record);
  void save() const;

  const ScoreArguments& arguments_;
  const OutputPlan& plan_;
  const Detector& detector_;
  std::optional<ColourScale> scale_;
  LowValueWarning& low_values_;
  Progress* progress_ = nullptr;
  std::vector<ScoreRecord> records_;
  std::vector<ReportPicture> report_;
  std::size_t name_width_ = 4;
  bool streaming_ = false, complete_ = true;
  std::size_t streamed_ = 0, streamed_skipped_ = 0, streamed_anomalous_ = 0;
};

}  // namespace nagl::apps
