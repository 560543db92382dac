#pragma once

#include <CLI/CLI.hpp>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>

#include "nagl/core/json.h"
#include "nagl/image/preprocess.h"
#include "nagl/model/backbone.h"

namespace nagl::apps {

/// Options of every subcommand that computes features.
struct RuntimeOptions {
  std::filesystem::path backbone;
  std::optional<std::int64_t> layer;
  std::string image_size = "448";
  std::string device = "auto";
  std::string precision = "float32";
  int threads = 0;
  std::int64_t batch_size = 0;
};

/// Adds them to a subcommand.
void add_runtime_options(CLI::App& command, RuntimeOptions& options);

/// `N` or `HxW`. Throws ConfigError on anything else.
ImageSize parse_image_size(const std::string& text);

/// What RuntimeOptions resolve to.
struct Runtime {
  std::shared_ptr<const Backbone> backbone;
  ImageSize image_size;
  std::int64_t batch_size = 1;
};

/// Applies the thread count, finds the device and loads the backbone.
Runtime start_runtime(const RuntimeOptions& options);

/// Versions, device and backbone, for result files.
Json describe_runtime(const Runtime& runtime);

}  // namespace nagl::apps
