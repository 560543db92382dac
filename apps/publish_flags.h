#pragma once

#include <CLI/CLI.hpp>

#include "nagl/publishing/publisher.h"

namespace nagl::apps {

/// Adds `--post`, `--mqtt` and the spool.
void add_publish_flags(CLI::App& command, PublishOptions& publish);

}  // namespace nagl::apps
