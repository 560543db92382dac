#include "nagl/training/learning_rate.h"

#include <cmath>

#include "nagl/core/error.h"
#include "support.h"

namespace nagl {
namespace {

TEST(LearningRate, FallsByStepsAsPublished) {
  const LearningRateOptions options;
  const auto rate = [&](std::int64_t epoch, std::int64_t step) {
    return learning_rate(options, epoch, step, 20, 63);
  };
  EXPECT_DOUBLE_EQ(rate(0, 0), 1e-5);
  EXPECT_DOUBLE_EQ(rate(9, 62), 1e-5);
  EXPECT_DOUBLE_EQ(rate(10, 0), 1e-6);
  EXPECT_DOUBLE_EQ(rate(14, 62), 1e-6);
  EXPECT_DOUBLE_EQ(rate(15, 0), 1e-7);
  EXPECT_DOUBLE_EQ(rate(19, 62), 1e-7);
}

TEST(LearningRate, StepsMayBeAny) {
  LearningRateOptions options;
  options.rate = 8;
  options.step_factor = 0.5;
  options.step_epochs = {0, 2, 2};
  EXPECT_DOUBLE_EQ(learning_rate(options, 0, 0, 5, 1), 4);
  EXPECT_DOUBLE_EQ(learning_rate(options, 2, 0, 5, 1), 1);
  options.step_epochs = {};
  EXPECT_DOUBLE_EQ(learning_rate(options, 4, 0, 5, 1), 8);
}

TEST(LearningRate, RisesForAnEpochAndFallsAsACosine) {
  LearningRateOptions options;
  options.rate = 2;
  options.schedule = Schedule::kCosine;
  const auto rate = [&](std::int64_t epoch, std::int64_t step) {
    return learning_rate(options, epoch, step, 3, 4);
  };
  // Four steps up, then half a cosine over eight: 2 * (1 + cos(k / 8 * pi)) / 2.
  EXPECT_DOUBLE_EQ(rate(0, 0), 0.5);
  EXPECT_DOUBLE_EQ(rate(0, 1), 1);
  EXPECT_DOUBLE_EQ(rate(0, 3), 2);
  EXPECT_DOUBLE_EQ(rate(1, 0), 2);
  EXPECT_NEAR(rate(1, 2), 1 + std::sqrt(0.5), 1e-12);
  EXPECT_NEAR(rate(2, 0), 1, 1e-12);
  EXPECT_NEAR(rate(2, 2), 1 - std::sqrt(0.5), 1e-12);
  // The last step of a long training has nearly nothing left.
  EXPECT_LT(learning_rate(options, 19, 62, 20, 63), 1e-5 * 2);
  EXPECT_GT(learning_rate(options, 19, 62, 20, 63), 0);
  // One epoch is all warm-up.
  EXPECT_DOUBLE_EQ(learning_rate(options, 0, 3, 1, 4), 2);
}

TEST(LearningRateOptions, ChecksItsValues) {
  const auto refused = [](double rate, double factor, const std::string& because) {
    LearningRateOptions options;
    options.rate = rate;
    options.step_factor = factor;
    const auto message = testing::message_of<ConfigError>([&] { options.check(); });
    EXPECT_NE(message.find(because), std::string::npos) << message;
  };
  EXPECT_NO_THROW(LearningRateOptions().check());
  refused(0, 0.1, "learning_rate.rate 0 ");
  refused(-1e-5, 0.1, "learning_rate.rate -1e-05");
  refused(std::nan(""), 0.1, "learning_rate.rate nan");
  refused(INFINITY, 0.1, "learning_rate.rate inf");
  refused(1e-5, 0, "learning_rate.step_factor 0");
  refused(1e-5, 1.5, "learning_rate.step_factor 1.5");
  refused(1e-5, std::nan(""), "learning_rate.step_factor nan");
}

TEST(Schedule, IsReadByName) {
  Schedule schedule = Schedule::kStep;
  parse("cosine", schedule);
  EXPECT_EQ(schedule, Schedule::kCosine);
  parse(to_string(Schedule::kStep), schedule);
  EXPECT_EQ(schedule, Schedule::kStep);
  EXPECT_THROW(parse("linear", schedule), ConfigError);
}

}  // namespace
}  // namespace nagl
