#pragma once

#include <CLI/CLI.hpp>
#include <string>

#include "nagl/jobs/benchmark.h"

namespace nagl::apps {

/// All commands of this build. commands.cpp has them; a build of the engine alone has
/// engine_commands.cpp instead.
void add_commands(CLI::App& app, int& exit_code);
/// What `nagl --help` begins with.
const char* description();
/// The text of `nagl --version`.
std::string version_text();

/// Each adds one subcommand; parsing it and running it sets `exit_code`.
void add_score(CLI::App& app, int& exit_code);
void add_enroll(CLI::App& app, int& exit_code);
void add_calibrate(CLI::App& app, int& exit_code);
void add_feedback(CLI::App& app, int& exit_code);
void add_bank(CLI::App& app, int& exit_code);
void add_train(CLI::App& app, int& exit_code);
void add_evaluate(CLI::App& app, int& exit_code);
void add_inspect(CLI::App& app, int& exit_code);
void add_synth(CLI::App& app, int& exit_code);
void add_serve(CLI::App& app, int& exit_code);
/// @param more parts to measure beside those of the engine
void add_benchmark(CLI::App& app, const jobs::BenchmarkParts& more);
void add_completion(CLI::App& app, int& exit_code);

}  // namespace nagl::apps
