#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>

#include "nagl/jobs/score.h"

namespace nagl::jobs {

/// Which frames of a video are scored, and what comes of them.
struct VideoOptions {
  std::string source;           ///< a file, a camera's device, or an address, as VideoReader has it
  std::int64_t every = 1;       ///< of the frames each n-th is taken
  std::optional<int> triggers;  ///< an open file each line of which takes one frame; none: all are
  std::filesystem::path annotated;  ///< a video of the overlays of what was scored; empty: none
  double reconnect = 5;  ///< seconds between tries to get a live source back; 0: its end is ours

  /// @throws ConfigError on values out of range
  void check() const;
};

/// Scores the frames of a video, a camera or a stream, one at a time: a record each in
/// `results.jsonl` at once. A file ends the job, and so does the end of the triggers; a live source
/// goes on until the job is stopped, and is tried again where it is lost. Where nagl is slower than
/// a live source, frames are left out. With an output folder, maps and overlays are those of frames
/// that are not normal; without thresholds of all.
/// @throws DataError too if the source cannot be opened, or holds no frame
ScoreResult score_video(const ScoreOptions& options, const VideoOptions& video,
                        const ScoreObserver& observer = {});

}  // namespace nagl::jobs
