#pragma once

#include <string>
#include <vector>

#include "nagl/evaluation/score_report.h"
#include "nagl/jobs/score.h"
#include "nagl/jobs/sharding.h"

namespace nagl::jobs {

/// Scoring by several processes into one folder: each takes parts of the pictures, and leaves of
/// each part what results are made of. All of it lies in `.shards` in the output folder.
class ScoreShards {
 public:
  ScoreShards(const ScoreOptions& options, const OutputPlan& plan, const JobObserver& observer);

  /// Gives queries their files, and refuses to go on with what is no shared scoring.
  /// @throws ConfigError if the folder holds results of another run
  void assign(std::vector<QueryFile>& queries) const;

  /// Starts the folder's record, or checks that it is of this very scoring.
  /// @param run what describes it, in `run.json`
  void begin(const Json& run, const std::vector<QueryFile>& queries) const;

  /// What of a part is kept.
  struct Part {
    std::vector<ScoreRecord> records;
    std::vector<ReportPicture> report;
  };
  /// Scores this process's share, until all is done.
  /// @param score scores the pictures of a part; nothing: it was stopped
  /// @return false: it was stopped
  bool score(const std::vector<QueryFile>& queries,
             const std::function<std::optional<Part>(const std::vector<QueryFile>&)>& score) const;

  /// All parts, in the order of the pictures. @throws DataError naming a file that is damaged
  Part gather(const std::vector<QueryFile>& queries) const;

  /// The last step, in one of the processes. Parts stay: on a network another may not see yet that
  /// it is done, and do it again.
  /// @return false: it was stopped
  bool finish(const std::function<void()>& step) const;

 private:
  std::filesystem::path record() const { return job_.folder() / "job.json"; }
  std::filesystem::path part(const std::string& unit) const {
    return job_.folder() / "parts" / unit;
  }

  const OutputPlan& plan_;
  OverlayScale scale_;
  bool merge_;
  SharedJob job_;
};

}  // namespace nagl::jobs
