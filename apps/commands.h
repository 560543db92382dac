#pragma once

#include <CLI/CLI.hpp>

namespace nagl::apps {

/// Exit codes of the executable (see also `main.cpp`, which maps exceptions to them).
enum ExitCode {
  kSuccess = 0,
  kFailure = 1,
  kConfigFailure = 2,
  kDataFailure = 3,
  kModelFailure = 4,
  kDeviceFailure = 5,
};

/// Each adds one subcommand; parsing it and running it sets `exit_code`.
void add_score(CLI::App& app, int& exit_code);
void add_synth(CLI::App& app, int& exit_code);

}  // namespace nagl::apps
