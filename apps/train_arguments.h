#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "recipe_options.h"
#include "runtime_options.h"

namespace nagl::apps {

/// What `nagl train` was asked to do.
struct TrainArguments {
  std::vector<std::filesystem::path> data;
  std::filesystem::path out, store;
  std::optional<std::string> format;
  bool resume = false;
  RecipeOptions recipe;
  RuntimeOptions runtime;
};

/// Does it. @return the exit code
int run_train(const TrainArguments& arguments);

}  // namespace nagl::apps
