#pragma once

#include <deque>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "nagl/core/write_behind.h"
#include "nagl/detection/detector.h"
#include "nagl/detection/drift.h"
#include "nagl/evaluation/score_report.h"
#include "nagl/image/overlay.h"
#include "nagl/image/video.h"
#include "nagl/jobs/bank_preparation.h"
#include "nagl/jobs/query_stream.h"
#include "nagl/jobs/score.h"
#include "volume_maps.h"

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
  /// @param annotated gets the overlays; null: nobody does
  void score(QueryStream& stream, FolderWatch* watch,
             const std::function<QueryFile(const StreamedPicture&)>& plan_query,
             VideoWriter* annotated = nullptr);

  /// The pictures of `score`, and of a stream their counts.
  Json summary() const;
  bool complete() const { return complete_; }
  const std::vector<ReportPicture>& report() const { return report_; }
  /// Of pictures that were no stream.
  const std::vector<ScoreRecord>& records() const { return records_; }

 private:
  struct Loaded {
    QueryFile file;
    Query query;
    std::string bytes;  ///< of the file, where it is to be copied
    std::optional<std::string> error;
    std::string state;
  };
  /// What was made of a picture: all its files are written.
  struct Finished {
    ScoreRecord record;
    ReportPicture picture;  ///< of the report, where there is one
    std::vector<std::string> warnings;
    Image image;           ///< of a stream, for its drift
    double raw_score = 0;  ///< likewise
    cv::Mat overlay;       ///< of a stream whose overlays somebody gets
  };
  using Writer = WriteBehind<Finished>;
  std::unique_ptr<VolumeMaps> volumes_;  ///< null: queries are not known before

  /// @param frame of a video: the picture
  Loaded load(const QueryFile& file, const std::optional<VideoFrame>& frame = {}) const;
  /// Of a video only what is not normal has maps and overlays, unless all were asked for.
  bool keeps(const QueryFile& file, Verdict verdict) const;
  /// Hands those at the front over, so that records keep the order of the pictures.
  void skip_broken(std::deque<Loaded>& waiting, Writer& writer);
  /// These three are called in any thread.
  Finished skipped(const Loaded& item) const;
  Finished finished(const Loaded& item, const Detection& detection) const;
  /// What fails for one picture, mostly for want of memory, does not end the others.
  Finished finished_or_skipped(const Loaded& item,
                               const std::function<Detection()>& detection) const;
  cv::Mat overlay_of(const Loaded& item, const Detection& detection, Finished& finished) const;
  void write_sorted(const Loaded& item, Verdict verdict) const;
  bool reports() const { return !streaming_ && !plan_.out.empty() && plan_.report; }
  ReportPicture reported(const ScoreRecord& record, const cv::Mat& rgb,
                         const cv::Mat& overlay) const;
  void keep(Finished finished);
  void save() const;

  const ScoreOptions& options_;
  const OutputPlan& plan_;
  const Detector& detector_;
  std::optional<ColourScale> scale_;
  RemarkLog& remarks_;
  const ScoreObserver& observer_;
  std::vector<ScoreRecord> records_;
  std::vector<ReportPicture> report_;
  bool streaming_ = false, complete_ = true, annotates_ = false;
  std::optional<DriftWatch> drift_;    ///< of a stream
  std::vector<double> stream_scores_;  ///< as users see them
  std::size_t streamed_ = 0, streamed_skipped_ = 0;
  std::size_t streamed_anomalous_ = 0, streamed_uncertain_ = 0;
};

}  // namespace nagl::jobs
