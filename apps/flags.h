#pragma once

#include <CLI/CLI.hpp>
#include <functional>
#include <optional>
#include <string>

#include "nagl/core/image_size.h"
#include "nagl/jobs/runtime.h"

namespace nagl::apps {

/// Adds an option whose text is read by `read`, which throws ConfigError on nonsense.
inline CLI::Option* add_text_option(CLI::App& command, const std::string& name,
                                    const std::function<void(const std::string&)>& read,
                                    const std::string& help) {
  return command.add_option_function<std::string>(name, read, help);
}

/// Adds an option of a type that has `parse(text, value)`.
template <typename T>
CLI::Option* add_parsed_option(CLI::App& command, const std::string& name, std::optional<T>& target,
                               const std::string& help) {
  return add_text_option(
      command, name, [&target](const std::string& text) { parse(text, target.emplace()); }, help);
}

/// Adds `--backbone`, `--layer`, `--image-size`, `--device`, `--precision`, `--threads` and
/// `--batch-size`: options of every command that computes features.
void add_backbone_flags(CLI::App& command, jobs::RuntimeOptions& runtime,
                        std::optional<std::int64_t>& layer, std::optional<ImageSize>& image_size,
                        std::optional<Precision>& precision);

}  // namespace nagl::apps
