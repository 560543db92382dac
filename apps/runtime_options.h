#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>

namespace CLI {
class App;
}

namespace nagl::apps {

/// Options of every subcommand that computes features. What is not set has a default that the
/// subcommand, or a file of options, decides.
struct RuntimeOptions {
  std::filesystem::path backbone;
  std::optional<std::int64_t> layer;
  std::optional<std::string> image_size;
  std::string device = "auto";
  std::optional<std::string> precision;
  int threads = 0;
  std::int64_t batch_size = 0;
};

inline constexpr const char* kDefaultImageSize = "448";
inline constexpr const char* kDefaultPrecision = "float32";
/// Pictures a backbone pass on CUDA, where not said otherwise.
inline constexpr std::int64_t kCudaBatch = 16;

/// Adds them to a subcommand.
void add_runtime_options(CLI::App& command, RuntimeOptions& options);

}  // namespace nagl::apps
