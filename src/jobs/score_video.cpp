#include "nagl/jobs/score_video.h"

#include <cmath>

#include "nagl/core/error.h"
#include "score_source.h"

namespace nagl::jobs {

void VideoOptions::check() const {
  if (source.empty()) throw ConfigError("--video names no source");
  if (every < 1) throw ConfigError("--every must be at least 1");
  if (!(std::isfinite(reconnect) && reconnect >= 0)) {
    throw ConfigError("--reconnect must be 0 or a number of seconds");
  }
}

ScoreResult score_video(const ScoreOptions& options, const VideoOptions& video,
                        const ScoreObserver& observer) {
  video.check();
  return score(options, {{}, {}, {}, video}, observer);
}

}  // namespace nagl::jobs
