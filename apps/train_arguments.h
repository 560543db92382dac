#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "runtime_options.h"

namespace nagl::apps {

/// What `nagl train` was asked to do.
struct TrainArguments {
  std::vector<std::filesystem::path> data;
  std::filesystem::path out, config, store;
  std::optional<std::string> format;
  std::vector<std::string> settings;  ///< `section.key=value`
  bool resume = false;
  RuntimeOptions runtime;
};

/// Does it. @return the exit code
int run_train(const TrainArguments& arguments);

/// The options that `--config` and `--set` take with their defaults, as JSON text.
std::string default_options();

}  // namespace nagl::apps
