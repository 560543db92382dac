#pragma once

#include <filesystem>
#include <optional>
#include <vector>

#include "nagl/jobs/score.h"
#include "nagl/jobs/score_video.h"

namespace nagl::jobs {

/// Where the pictures to score come from.
struct Source {
  std::vector<std::filesystem::path> paths;  ///< pictures and folders
  std::optional<int> list;                   ///< a file that lists them
  std::optional<WatchOptions> watch;         ///< a folder that fills
  std::optional<VideoOptions> video;

  bool streams() const { return list || watch || video; }
};

/// All kinds of scoring: what `score_folder` and the others do.
ScoreResult score(const ScoreOptions& options, const Source& source, const ScoreObserver& observer);

}  // namespace nagl::jobs
