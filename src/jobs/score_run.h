#pragma once

#include <deque>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "nagl/detection/detector.h"
#include "nagl/detection/drift.h"
#include "nagl/evaluation/score_report.h"
#include "nagl/image/overlay.h"
#include "nagl/jobs/bank_preparation.h"
#include "nagl/jobs/query_stream.h"
#include "nagl/jobs/score.h"

namespace nagl::jobs {

/// One run of scoring, from the loaded detector on. All must outlive it.
class ScoreRun {
 public:
  ScoreRun(const ScoreOptions& options, const OutputPlan& plan, const Detector& detector,
           std::optional<ColourScale> scale, RemarkLog& remarks, const ScoreObserver& observer);

  /// Scores all queries, or those before it was stopped. What was scored is written in any case.
  void score(const std::vector<QueryFile>& queries);

  /// Scores pictures as they come, one at a time; each record is in `results.jsonl` at once.
  /// @param plan_query gives a picture its region of interest and its true label
  void score(QueryStream& stream, FolderWatch* watch,
             const std::function<QueryFile(const PictureFile&)>& plan_query);

  /// The pictures of `score`, and of a stream their counts.
  Json summary() const;
  bool complete() const { return complete_; }
  const std::vector<ReportPicture>& report() const { return report_; }

 private:
  struct Loaded {
    QueryFile file;
    Query query;
    std::string bytes;  ///< of the file, where it is to be copied
    std::optional<std::string> error;
    std::string state;
  };

  Loaded load(const QueryFile& file) const;
  void skip_broken(std::deque<Loaded>& waiting);
  void skip(const Loaded& item);
  void finish(const Loaded& item, const Detection& detection);
  void keep_going(const Loaded& item, const std::function<void()>& score);
  void score_streamed(const Loaded& item);
  cv::Mat overlay_of(const Loaded& item, const Detection& detection) const;
  void write_sorted(const Loaded& item, Verdict verdict) const;
  void remember(const ScoreRecord& record, const cv::Mat& rgb, const cv::Mat& overlay);
  void keep(ScoreRecord record);
  void save() const;

  const ScoreOptions& options_;
  const OutputPlan& plan_;
  const Detector& detector_;
  std::optional<ColourScale> scale_;
  RemarkLog& remarks_;
  const ScoreObserver& observer_;
  std::vector<ScoreRecord> records_;
  std::vector<ReportPicture> report_;
  bool streaming_ = false, complete_ = true;
  std::optional<DriftWatch> drift_;    ///< of a stream
  std::vector<double> stream_scores_;  ///< as users see them
  std::size_t streamed_ = 0, streamed_skipped_ = 0;
  std::size_t streamed_anomalous_ = 0, streamed_uncertain_ = 0;
};

}  // namespace nagl::jobs
