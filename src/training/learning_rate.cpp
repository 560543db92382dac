#include "nagl/training/learning_rate.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numbers>

#include "nagl/core/error.h"

namespace nagl {

void LearningRateOptions::check() const {
  if (!(rate > 0) || !std::isfinite(rate)) {
    throw ConfigError(fmt::format("learning_rate.rate {} is not above 0", rate));
  }
  if (!(step_factor > 0) || step_factor > 1) {
    throw ConfigError(fmt::format("learning_rate.step_factor {} is not in (0, 1]", step_factor));
  }
}

double learning_rate(const LearningRateOptions& options, std::int64_t epoch, std::int64_t step,
                     std::int64_t epochs, std::int64_t steps) {
  if (options.schedule == Schedule::kStep) {
    const auto passed = std::count_if(options.step_epochs.begin(), options.step_epochs.end(),
                                      [&](std::int64_t at) { return epoch >= at; });
    return options.rate * std::pow(options.step_factor, static_cast<double>(passed));
  }
  const auto done = static_cast<double>(epoch * steps + step);
  const auto warm_up = static_cast<double>(steps), total = static_cast<double>(epochs * steps);
  if (done < warm_up) return options.rate * (done + 1) / warm_up;
  return options.rate * 0.5 *
         (1 + std::cos(std::numbers::pi * (done - warm_up) / (total - warm_up)));
}

}  // namespace nagl
