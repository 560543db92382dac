#include "recipe_options.h"

#include <CLI/CLI.hpp>
#include <iostream>

namespace nagl::apps {

void add_recipe_options(CLI::App& command, RecipeOptions& options,
                        const std::string& config_example, const std::string& setting_example) {
  constexpr const char* kGroup = "Options in files";
  command
      .add_option("--config", options.config,
                  "JSON file of options that differ from the defaults, e.g. " + config_example)
      ->group(kGroup);
  command
      .add_option("--set", options.settings,
                  "One option as section.key=value, e.g. " + setting_example + "; may be repeated")
      ->allow_extra_args(false)
      ->group(kGroup);
  command
      .add_flag_callback(
          "--print-options",
          [] {
            std::cout << default_options();
            throw CLI::Success();
          },
          "Print all options of --config and --set with their defaults, and exit")
      ->group(kGroup);
}

}  // namespace nagl::apps
