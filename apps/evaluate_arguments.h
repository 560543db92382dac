#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "recipe_options.h"
#include "runtime_options.h"

namespace nagl::apps {

/// What `nagl evaluate` was asked to do; what is not set comes from `--config` or the defaults.
struct EvaluateArguments {
  std::vector<std::filesystem::path> data;
  std::filesystem::path out, model, references;
  std::optional<std::string> format, protocol;
  std::vector<std::string> methods, normal_shots, abnormal_shots;
  std::optional<std::int64_t> seeds;
  bool resume = false, json = false;
  RecipeOptions recipe;
  RuntimeOptions runtime;
};

/// Does it. @return the exit code
int run_evaluate(const EvaluateArguments& arguments);

}  // namespace nagl::apps
