#include <c10/util/Exception.h>
#include <fcntl.h>
#include <signal.h>
#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <iostream>
#include <string>
#include <vector>

#include "commands.h"
#include "error_streams.h"
#include "exit_code.h"
#include "nagl/core/error.h"
#include "nagl/core/memory.h"

namespace {

using namespace nagl;
using namespace nagl::apps;

constexpr const char* kFooter =
    "Exit codes: 0 done, 1 unexpected failure, 2 wrong options, 3 unusable picture or folder (also "
    "when\nsome queries were skipped), 4 unusable weights, 5 device not available,\n10 an anomaly "
    "was found "
    "(nagl score --fail-on-anomaly), 11 a change was not kept (nagl feedback).\n"
    "Results go to stdout and files, messages to stderr. `nagl COMMAND --help` tells the rest.";

/// Standard streams that the caller closed must not become files of ours: whoever writes to one
/// gets an error, as from a closed one.
void hold_standard_streams() {
  for (int stream = 0; stream <= 2; ++stream) {
    if (fcntl(stream, F_GETFD) >= 0) continue;
    const int null = open("/dev/null", stream == 0 ? O_WRONLY : O_RDONLY);  // the lowest free one
    static_cast<void>(null);
  }
}

void log_to_stderr() {
  auto logger =
      std::make_shared<spdlog::logger>("nagl", std::make_shared<spdlog::sinks::stderr_sink_st>());
  logger->set_pattern("nagl: %l: %v");
  logger->flush_on(spdlog::level::info);
  spdlog::set_default_logger(logger);
}

int fail(ExitCode code, const std::string& message) {
  spdlog::error("{}", message);
  return code;
}

/// The command line, last argument first, as CLI11 wants it. An argument in brackets, which it
/// would split like a list, is a path here: it gets a `./`.
std::vector<std::string> arguments_of(int argc, char** argv) {
  std::vector<std::string> arguments(argv + 1, argv + argc);
  for (auto& argument : arguments) {
    if (argument.starts_with('[') && argument.ends_with(']')) argument.insert(0, "./");
  }
  std::reverse(arguments.begin(), arguments.end());
  return arguments;
}

int run(int argc, char** argv) {
  CLI::App app(description(), "nagl");
  app.footer(kFooter);
  app.set_version_flag("--version", version_text);
  app.set_help_all_flag("--help-all", "The help of all commands, and exit");
  app.require_subcommand(1);
  app.get_formatter()->column_width(34);
  int exit_code = kSuccess;
  add_commands(app, exit_code);
  try {
    app.parse(arguments_of(argc, argv));
  } catch (const CLI::ParseError& error) {
    if (app.exit(error) != 0) return kConfigFailure;
  }
  std::cout.flush();
  if (!std::cout) throw Error("standard output cannot be written");
  return exit_code;
}

int run_and_tell(int argc, char** argv) {
  try {
    log_to_stderr();
    return run(argc, argv);
  } catch (const ConfigError& error) {
    return fail(kConfigFailure, error.what());
  } catch (const DataError& error) {
    return fail(kDataFailure, error.what());
  } catch (const ModelError& error) {
    return fail(kModelFailure, error.what());
  } catch (const DeviceError& error) {
    return fail(kDeviceFailure, error.what());
  } catch (const std::filesystem::filesystem_error& error) {
    return fail(kDataFailure, error.what());
  } catch (const c10::Error& error) {
    return fail(kFailure, error.what_without_backtrace());
  } catch (const std::bad_alloc&) {
    return fail(kFailure, "out of memory; use a smaller --batch-size or --image-size");
  } catch (const std::exception& error) {
    return fail(kFailure, error.what());
  }
}

}  // namespace

int main(int argc, char** argv) {
  hold_standard_streams();
  keep_freed_memory();
  signal(SIGPIPE, SIG_IGN);
  signal(SIGXFSZ, SIG_IGN);
  hand_over_error_streams();
  const int exit_code = run_and_tell(argc, argv);
  std::cout.flush();
  std::cerr.flush();
  std::fflush(nullptr);
  // Libraries' own objects would take a fifth of a second to take down, for nothing.
  ::_exit(exit_code);
}
