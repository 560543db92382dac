#pragma once

#include <CLI/CLI.hpp>

#include "nagl/jobs/score_video.h"
#include "nagl/publishing/publisher.h"

namespace nagl::apps {

/// Adds `--video` and what says which of its frames are scored.
void add_video_flags(CLI::App& command, jobs::VideoOptions& video, bool& triggered,
                     bool& normal_frames);

/// Adds `--post`, `--mqtt` and the spool.
void add_publish_flags(CLI::App& command, PublishOptions& publish);

}  // namespace nagl::apps
