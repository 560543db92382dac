#pragma once

#include <filesystem>
#include <string>
#include <vector>

namespace CLI {
class App;
}

namespace nagl::apps {

/// Where a subcommand's options come from beside its flags.
struct RecipeOptions {
  std::filesystem::path config;
  std::vector<std::string> settings;  ///< `section.key=value`
};

/// Adds `--config`, `--set` and `--print-options`. @param config_example, setting_example for help
void add_recipe_options(CLI::App& command, RecipeOptions& options,
                        const std::string& config_example, const std::string& setting_example);

/// All options that `--config` and `--set` take with their defaults, as JSON text.
std::string default_options();

}  // namespace nagl::apps
