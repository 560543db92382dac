#include "nagl/core/threads.h"

#include "support.h"

namespace nagl {
namespace {

using testing::spill;
using testing::TemporaryFolder;

TEST(Threads, TwoThreadsOfACoreCountOnce) {
  const TemporaryFolder folder;
  for (int i = 0; i < 8; ++i) {  // threads i and i + 4 share a core
    const std::string first = std::to_string(i % 4), second = std::to_string(i % 4 + 4);
    spill(folder / ("cpu" + std::to_string(i)) / "topology/thread_siblings_list",
          first + "," + second + "\n");
  }
  EXPECT_EQ(physical_cores(folder.path(), {0, 1, 2, 3, 4, 5, 6, 7}), 4);
  EXPECT_EQ(physical_cores(folder.path(), {0, 4}), 1);
  EXPECT_EQ(physical_cores(folder.path(), {0, 1, 5}), 2);
  EXPECT_EQ(physical_cores(folder.path(), {0, 20, 21}), 3);  // nothing is known of two
}

TEST(Threads, QuotasOfControlGroups) {
  const TemporaryFolder folder;
  EXPECT_FALSE(processor_quota(folder.path()));
  spill(folder / "cpu.max", "max 100000\n");
  EXPECT_FALSE(processor_quota(folder.path()));
  spill(folder / "cpu.max", "250000 100000\n");
  EXPECT_EQ(processor_quota(folder.path()), 2.5);
  std::filesystem::remove(folder / "cpu.max");
  spill(folder / "cpu/cpu.cfs_quota_us", "-1\n");
  spill(folder / "cpu/cpu.cfs_period_us", "100000\n");
  EXPECT_FALSE(processor_quota(folder.path()));
  spill(folder / "cpu/cpu.cfs_quota_us", "150000\n");
  EXPECT_EQ(processor_quota(folder.path()), 1.5);
}

TEST(Threads, ThereIsAlwaysOne) {
  EXPECT_GE(sensible_threads(), 1);
  EXPECT_GE(usable_processors(), sensible_threads());
}

}  // namespace
}  // namespace nagl
