#include "nagl/evaluation/evaluation_options.h"

#include <fmt/format.h>

#include <algorithm>

#include "nagl/core/error.h"
#include "nagl/detection/bank_options.h"

namespace nagl {
namespace {

template <typename T>
bool has_repeats(std::vector<T> values) {
  std::sort(values.begin(), values.end());
  return std::adjacent_find(values.begin(), values.end()) != values.end();
}

}  // namespace

std::int64_t EvaluationOptions::turns_of(Method method, std::int64_t shots) const {
  return turns.value_or(automatic_turns(method, static_cast<std::size_t>(shots)));
}

void EvaluationOptions::check() const {
  constexpr std::int64_t kMostShots = 100'000;
  if (methods.empty()) throw ConfigError("an evaluation needs at least one method");
  if (normal_shots.empty() || abnormal_shots.empty()) {
    throw ConfigError("an evaluation needs numbers of shots, e.g. --normal-shots 1,2,4");
  }
  if (has_repeats(methods) || has_repeats(normal_shots) || has_repeats(abnormal_shots)) {
    throw ConfigError("a method or a number of shots is named twice");
  }
  for (const auto shots : normal_shots) {
    if (shots < 1 || shots > kMostShots) {
      throw ConfigError(fmt::format("normal shots {} are not in 1..{}", shots, kMostShots));
    }
  }
  for (const auto shots : abnormal_shots) {
    if (shots != kOneOfEach && (shots < 0 || shots > kMostShots)) {
      throw ConfigError(fmt::format("abnormal shots {} are not in 0..{}", shots, kMostShots));
    }
  }
  if (turns && *turns != 1 && *turns != 4 && *turns != 8) {
    throw ConfigError(fmt::format("turns {} is not one of 1, 4, 8", *turns));
  }
  if (seeds < 1 || seeds > 1000)
    throw ConfigError(fmt::format("seeds {} are not in 1..1000", seeds));
  if (!(pro_limit > 0 && pro_limit <= 1)) {
    throw ConfigError(fmt::format("the PRO limit {} is not in (0, 1]", pro_limit));
  }
  if (examples < 0 || examples > 100) {
    throw ConfigError(fmt::format("examples {} are not in 0..100", examples));
  }
  const bool normal_only = std::none_of(methods.begin(), methods.end(), uses_abnormal);
  const bool none = std::all_of(abnormal_shots.begin(), abnormal_shots.end(),
                                [](std::int64_t shots) { return shots == 0; });
  const auto needs = std::find_if(methods.begin(), methods.end(), needs_abnormal);
  if (!normal_only && none && needs != methods.end()) {
    throw ConfigError("method " + to_string(*needs) + " needs abnormal shots above 0");
  }
}

}  // namespace nagl
