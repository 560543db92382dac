#include "command.h"

namespace nagl {
namespace {

using testing::contains;
using testing::run_nagl;

// libgomp says how it is set.
TEST(Waiting, ThreadsWaitBrieflyUnlessTheUserSaysOtherwise) {
  const std::string clear = "unset GOMP_SPINCOUNT OMP_WAIT_POLICY; OMP_DISPLAY_ENV=VERBOSE ";
  const auto set_by = [&](const std::string& user) {
    const auto run = run_nagl("benchmark --help", clear + user);
    EXPECT_EQ(run.exit_code, 0) << run.err;
    EXPECT_TRUE(contains(run.out, "Measure the speed")) << run.out;
    return run.err;
  };
  EXPECT_TRUE(contains(set_by(""), "GOMP_SPINCOUNT = '10000'")) << set_by("");
  EXPECT_TRUE(contains(set_by("GOMP_SPINCOUNT=77 "), "GOMP_SPINCOUNT = '77'"));
  EXPECT_FALSE(contains(set_by("OMP_WAIT_POLICY=ACTIVE "), "GOMP_SPINCOUNT = '10000'"));
  // What computes nothing starts once.
  EXPECT_FALSE(contains(run_nagl("--version", clear).err, "GOMP_SPINCOUNT = '10000'"));
}

}  // namespace
}  // namespace nagl
