#include "nagl/core/work_share.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <map>
#include <set>
#include <thread>

#include "nagl/core/atomic_file.h"
#include "nagl/core/error.h"
#include "support.h"

namespace nagl {
namespace {

namespace fs = std::filesystem;
using testing::message_of;
using testing::slurp;
using testing::spill;
using testing::TemporaryFolder;

Shard by_variables(const std::map<std::string, std::string>& variables) {
  return parse_shard("auto", [&](const char* name) -> const char* {
    const auto found = variables.find(name);
    return found == variables.end() ? nullptr : found->second.c_str();
  });
}

TEST(Shard, IsReadFromTextAndVariables) {
  EXPECT_EQ(parse_shard("2/8").index, 2);
  EXPECT_EQ(parse_shard("2/8").count, 8);
  EXPECT_EQ(parse_shard("0/1").count, 1);
  const Shard slurm =
      by_variables({{"SLURM_PROCID", "3"}, {"SLURM_NTASKS", "4"}, {"SLURM_LOCALID", "1"}});
  EXPECT_EQ(slurm.index, 3);
  EXPECT_EQ(slurm.count, 4);
  EXPECT_EQ(slurm.local_rank, 1);
  // The third job of an array of jobs 10 to 13 with two tasks each.
  const Shard array = by_variables({{"SLURM_PROCID", "1"},
                                    {"SLURM_NTASKS", "2"},
                                    {"SLURM_ARRAY_TASK_ID", "12"},
                                    {"SLURM_ARRAY_TASK_MIN", "10"},
                                    {"SLURM_ARRAY_TASK_COUNT", "4"}});
  EXPECT_EQ(array.index, 5);
  EXPECT_EQ(array.count, 8);
  EXPECT_EQ(by_variables({{"JOB_COMPLETION_INDEX", "7"}}).index, 7);
  EXPECT_EQ(by_variables({{"JOB_COMPLETION_INDEX", "7"}}).count, 0);
  EXPECT_EQ(by_variables({{"OMPI_COMM_WORLD_RANK", "1"}, {"OMPI_COMM_WORLD_SIZE", "2"}}).count, 2);
  // torchrun within Slurm: the inner one counts.
  const Shard inner = by_variables({{"RANK", "5"},
                                    {"WORLD_SIZE", "6"},
                                    {"LOCAL_RANK", "2"},
                                    {"SLURM_PROCID", "0"},
                                    {"SLURM_NTASKS", "1"}});
  EXPECT_EQ(inner.index, 5);
  EXPECT_EQ(inner.local_rank, 2);
}

TEST(Shard, RefusesNonsense) {
  for (const char* wrong : {"", "3", "4/4", "-1/4", "1/0", "a/b", "1/4/2", "1.5/4"}) {
    EXPECT_THROW(parse_shard(wrong), ConfigError) << wrong;
  }
  EXPECT_NE(message_of<ConfigError>([&] { parse_shard("4/4"); }).find("the last is 3"),
            std::string::npos);
  EXPECT_NE(message_of<ConfigError>([&] { by_variables({}); }).find("SLURM_PROCID"),
            std::string::npos);
  EXPECT_THROW(by_variables({{"RANK", "x"}, {"WORLD_SIZE", "2"}}), ConfigError);
  EXPECT_THROW(by_variables({{"RANK", "2"}, {"WORLD_SIZE", "2"}}), ConfigError);
}

class WorkShareTest : public ::testing::Test {
 protected:
  std::vector<std::string> units(int count) {
    std::vector<std::string> names;
    for (int i = 0; i < count; ++i) names.push_back("unit" + std::to_string(i));
    return names;
  }
  bool done(const std::string& unit) { return fs::exists(folder / "results" / unit); }
  void write_result(const std::string& unit) {
    write_file(folder / "results" / unit, "result of " + unit);
  }
  fs::path claims() { return folder / "claims"; }
  TemporaryFolder folder;
};

TEST_F(WorkShareTest, AloneItDoesAllAndLeavesNoClaim) {
  WorkShare share(claims(), {1, 3, {}}, 60);
  std::vector<std::string> order;
  EXPECT_TRUE(share.run(
      units(6), [&](const std::string& unit) { return done(unit); },
      [&](const std::string& unit) {
        EXPECT_TRUE(fs::exists(claims() / unit));
        order.push_back(unit);
        write_result(unit);
        return true;
      }));
  EXPECT_EQ(order,
            (std::vector<std::string>{"unit2", "unit3", "unit4", "unit5", "unit0", "unit1"}));
  EXPECT_TRUE(fs::is_empty(claims()));
}

TEST_F(WorkShareTest, SeveralProcessesDoEachOnce) {
  constexpr int kProcesses = 4, kUnits = 40;
  std::vector<pid_t> children;
  for (int i = 0; i < kProcesses; ++i) {
    const pid_t child = ::fork();
    ASSERT_GE(child, 0);
    if (child == 0) {
      bool all = false;
      try {
        WorkShare share(claims(), {i, kProcesses, {}}, 60);
        all = share.run(
            units(kUnits), [&](const std::string& unit) { return done(unit); },
            [&](const std::string& unit) {
              std::this_thread::sleep_for(std::chrono::milliseconds(3));
              write_result(unit);
              const std::string mine = unit + "-" + std::to_string(i);
              write_file(folder / "log" / mine, "");
              return true;
            });
      } catch (...) {
      }
      ::_exit(all ? 0 : 1);
    }
    children.push_back(child);
  }
  for (const pid_t child : children) {
    int status = 1;
    ASSERT_EQ(::waitpid(child, &status, 0), child);
    EXPECT_EQ(status, 0);
  }
  for (const auto& unit : units(kUnits))
    EXPECT_EQ(slurp(folder / "results" / unit), "result of " + unit);
  std::size_t works = 0;
  std::set<char> workers;
  for (const auto& entry : fs::directory_iterator(folder / "log")) {
    ++works;
    workers.insert(entry.path().filename().string().back());
  }
  EXPECT_EQ(works, static_cast<std::size_t>(kUnits));
  EXPECT_GT(workers.size(), 1U);
}

TEST_F(WorkShareTest, ADeadOwnersUnitIsTakenOverAndALivingOnesIsNot) {
  const pid_t child = ::fork();
  ASSERT_GE(child, 0);
  if (child == 0) {  // begins a unit, and works on it for ever
    WorkShare share(claims(), {0, 2, {}}, 1);
    share.run(
        units(1), [](const std::string&) { return false; },
        [](const std::string&) {
          for (;;) ::pause();
          return true;
        });
    ::_exit(0);
  }
  while (!fs::exists(claims() / "unit0")) std::this_thread::sleep_for(std::chrono::milliseconds(5));
  WorkShare share(claims(), {1, 2, {}}, 1);
  const auto begun = std::chrono::steady_clock::now();
  const auto seconds = [&] {
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - begun).count();
  };
  std::size_t waited_for = 0;
  bool killed = false;
  double killed_after = 0;
  const bool all = share.run(
      units(2), [&](const std::string& unit) { return done(unit); },
      [&](const std::string& unit) {
        EXPECT_TRUE(unit == "unit1" || killed) << unit;
        write_result(unit);
        return true;
      },
      [&](std::size_t left) { waited_for = left; },
      [&] {
        if (!killed && seconds() > 2.5) {  // longer than its lease: it lives, and keeps its claim
          ::kill(child, SIGKILL);
          killed = true;
          killed_after = seconds();
        }
        return seconds() > 30;
      });
  EXPECT_TRUE(all);
  EXPECT_TRUE(killed);
  EXPECT_EQ(waited_for, 1U);
  EXPECT_GT(seconds() - killed_after, 0.5);
  EXPECT_LT(seconds() - killed_after, 5);
  ::waitpid(child, nullptr, 0);
  EXPECT_TRUE(fs::is_empty(claims()));
}

TEST_F(WorkShareTest, AClaimOfLongAgoIsWaitedOutOnce) {
  spill(claims() / "unit0", "some machine 12 0000\n7\n");
  WorkShare share(claims(), {0, 1, {}}, 1);
  EXPECT_TRUE(share.run(
      units(2), [&](const std::string& unit) { return done(unit); },
      [&](const std::string& unit) {
        write_result(unit);
        return true;
      }));
  EXPECT_TRUE(done("unit0"));
}

TEST_F(WorkShareTest, WhereFilesAreNotExclusiveWorkIsDoneTwiceAndNothingIsLost) {
  // As a file system does it that lets a second process make a file that is there.
  WorkShare share(claims(), {0, 2, {}}, 60), other(claims(), {1, 2, {}}, 60);
  int works = 0;
  const auto is_done = [&](const std::string& unit) { return done(unit); };
  EXPECT_TRUE(share.run(units(2), is_done, [&](const std::string& unit) {
    fs::remove(claims() / unit);
    EXPECT_TRUE(other.run({unit}, is_done, [&](const std::string& same) {
      ++works;
      write_result(same);
      return true;
    }));
    ++works;
    write_result(unit);
    return true;
  }));
  EXPECT_EQ(works, 4);
  EXPECT_EQ(slurp(folder / "results/unit1"), "result of unit1");
  EXPECT_TRUE(fs::is_empty(claims()));
}

TEST_F(WorkShareTest, AFailureGivesTheClaimBack) {
  WorkShare share(claims(), {0, 1, {}}, 60);
  EXPECT_THROW(share.run(
                   units(1), [](const std::string&) { return false; },
                   [](const std::string&) -> bool { throw DataError("cannot be read"); }),
               DataError);
  EXPECT_TRUE(fs::is_empty(claims()));
  EXPECT_FALSE(share.run(
      units(1), [](const std::string&) { return false; },
      [](const std::string&) { return false; }));
  EXPECT_TRUE(fs::is_empty(claims()));
}

}  // namespace
}  // namespace nagl
