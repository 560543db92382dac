#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "nagl/core/enum_names.h"

namespace nagl {

/// How the learning rate falls.
enum class Schedule {
  kStep,    ///< times a factor at given epochs, as published
  kCosine,  ///< linear warm-up over the first epoch, then half a cosine to 0
};
constexpr auto names_of(Schedule) {
  return EnumNames<Schedule, 2>{"schedule",
                                {{{Schedule::kStep, "step"}, {Schedule::kCosine, "cosine"}}}};
}

/// All that the learning rate depends on.
struct LearningRateOptions {
  double rate = 1e-5;  ///< the largest
  Schedule schedule = Schedule::kStep;
  std::vector<std::int64_t> step_epochs = {10, 15};  ///< epochs, from 0, at which `step` lowers it
  double step_factor = 0.1;                          ///< by what

  /// Throws ConfigError on a value out of range.
  void check() const;

  template <typename Self, typename Visit>
  static void fields(Self& self, Visit&& visit) {
    visit("rate", self.rate);
    visit("schedule", self.schedule);
    visit("step_epochs", self.step_epochs);
    visit("step_factor", self.step_factor);
  }
};

/// The rate of one optimiser step, a pure function of where it stands.
/// @param epoch, step from 0 @param epochs in all @param steps in an epoch
double learning_rate(const LearningRateOptions& options, std::int64_t epoch, std::int64_t step,
                     std::int64_t epochs, std::int64_t steps);

}  // namespace nagl
