#pragma once

#include <CLI/CLI.hpp>
#include <functional>
#include <optional>
#include <string>

#include "nagl/core/image_size.h"
#include "nagl/jobs/runtime.h"
#include "nagl/jobs/sharding.h"

namespace nagl::apps {

/// Adds an option whose text is read by `read`, which throws ConfigError on nonsense.
inline CLI::Option* add_text_option(CLI::App& command, const std::string& name,
                                    const std::function<void(const std::string&)>& read,
                                    const std::string& help) {
  return command.add_option_function<std::string>(name, read, help);
}

/// Accepts numbers from `least` to `most`, and nothing that is no number (CLI::Range takes `nan`).
inline CLI::Validator real_range(double least, double most) {
  const std::string text =
      "FLOAT in [" + CLI::detail::to_string(least) + " - " + CLI::detail::to_string(most) + "]";
  return CLI::Validator(
      [least, most, text](std::string& given) -> std::string {
        double value = 0;
        const bool fits =
            CLI::detail::lexical_cast(given, value) && value >= least && value <= most;
        return fits ? "" : "Value " + given + " is not a " + text;
      },
      text);
}

/// Adds an option of a type that has `parse(text, value)`.
template <typename T>
CLI::Option* add_parsed_option(CLI::App& command, const std::string& name, std::optional<T>& target,
                               const std::string& help) {
  return add_text_option(
      command, name, [&target](const std::string& text) { parse(text, target.emplace()); }, help);
}

/// Adds `--backbone`, `--device`, `--threads` and `--batch-size`: options of commands whose other
/// choices a bank has made.
void add_runtime_flags(CLI::App& command, jobs::RuntimeOptions& runtime);

/// Adds `--precision`.
void add_precision_flag(CLI::App& command, std::optional<Precision>& precision);

/// Adds `--shard` and `--lease`, and where there is something to put together `--merge`.
/// @param runtime gets the rank among the processes of a machine
void add_shard_flags(CLI::App& command, jobs::ShardRequest& sharding, jobs::RuntimeOptions& runtime,
                     bool merges);

/// Adds `--keep`: generations of a bank.
void add_history_flag(CLI::App& command, std::size_t& keep);

/// Adds `--backbone`, `--layer`, `--image-size`, `--device`, `--precision`, `--threads` and
/// `--batch-size`: options of every command that computes features.
void add_backbone_flags(CLI::App& command, jobs::RuntimeOptions& runtime,
                        std::optional<std::int64_t>& layer, std::optional<ImageSize>& image_size,
                        std::optional<Precision>& precision);

}  // namespace nagl::apps
