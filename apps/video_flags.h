#pragma once

#include <CLI/CLI.hpp>

#include "nagl/jobs/score_video.h"

namespace nagl::apps {

/// Adds `--video` and what says which of its frames are scored.
void add_video_flags(CLI::App& command, jobs::VideoOptions& video, bool& triggered,
                     bool& normal_frames);

}  // namespace nagl::apps
