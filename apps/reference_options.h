#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

namespace CLI {
class App;
}

namespace nagl::apps {

/// References, and how pictures are treated: options of every subcommand that makes a bank. What is
/// not set has the default of `DetectorOptions`, or is as the bank at hand was made.
struct ReferenceArguments {
  std::vector<std::filesystem::path> normal, abnormal;
  std::filesystem::path masks, model;
  std::size_t normal_shots = 0, abnormal_shots = 0;  ///< 0: all
  std::optional<std::string> method, augment;
  std::optional<std::int64_t> tile;
  std::optional<double> overlap, coreset;
  std::optional<int> bit_depth;
};

/// Adds them to a subcommand.
void add_reference_options(CLI::App& command, ReferenceArguments& arguments);

}  // namespace nagl::apps
