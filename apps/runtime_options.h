#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>

namespace CLI {
class App;
}

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

/// Pictures a backbone pass on CUDA, where not said otherwise.
inline constexpr std::int64_t kCudaBatch = 16;

/// Adds them to a subcommand.
void add_runtime_options(CLI::App& command, RuntimeOptions& options);

}  // namespace nagl::apps
