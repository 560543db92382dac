#include <fmt/format.h>

#include <chrono>
#include <cstdlib>
#include <nlohmann/json.hpp>
#include <opencv2/core.hpp>
#include <random>

#include "command.h"
#include "nagl/image/image.h"
#include "spots.h"

namespace nagl {
namespace {

using testing::part;
using testing::run_nagl;
using testing::slurp;
using testing::spot_mask;
using testing::TemporaryFolder;
namespace fs = std::filesystem;

/// Moments at which each command is killed; $NAGL_KILLS says how many.
int kills() {
  const char* asked = std::getenv("NAGL_KILLS");
  return asked == nullptr ? 3 : std::atoi(asked);
}

TEST(Killed, CommandsThatChangeABankLeaveOneOfTwoGenerations) {
  NAGL_NEEDS_BACKBONE(weights);
  const TemporaryFolder folder;
  const auto path = [&](const std::string& name) { return (folder / name).string(); };
  for (std::uint64_t i = 0; i < 4; ++i) {
    write_png(folder / ("good/" + std::to_string(i) + ".png"), part(i, false));
  }
  write_png(folder / "more/good.png", part(9, false));
  write_png(folder / "new/spot.png", part(20, true));
  write_png(folder / "masks/spot_mask.png", spot_mask());
  const std::string bank = path("work/bank.safetensors");
  fs::create_directories(folder / "work");
  ASSERT_EQ(
      run_nagl("enroll --image-size 112 --out " + bank + " --normal " + path("good")).exit_code, 0);
  ASSERT_EQ(run_nagl("calibrate --bank " + bank).exit_code, 0);
  fs::copy(folder / "work", folder / "start", fs::copy_options::recursive);
  const std::string before = slurp(bank);
  const auto again = [&] {
    fs::remove_all(folder / "work");
    fs::copy(folder / "start", folder / "work", fs::copy_options::recursive);
  };
  const auto generations = [&] {
    return nlohmann::json::parse(run_nagl("bank history --json " + bank).out).size();
  };

  std::mt19937 random(1);
  int changed = 0, total = 0;
  for (const std::string& command :
       {"feedback " + bank + " --bad " + path("new/spot.png") + " --masks " + path("masks"),
        "enroll --add --out " + bank + " --normal " + path("more"), "bank remove " + bank + " '#2'",
        "calibrate --false-alarm-rate 0.05 --bank " + bank, "bank undo " + bank}) {
    SCOPED_TRACE(command);
    again();
    const auto begin = std::chrono::steady_clock::now();
    ASSERT_EQ(run_nagl(command).exit_code, 0);
    const double seconds =
        std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
    const std::string after = slurp(bank);
    ASSERT_FALSE(after == before);
    const auto then = generations();
    for (int i = 0; i < kills(); ++i) {
      again();
      const double moment = std::uniform_real_distribution<>(0, 1.1 * seconds)(random);
      run_nagl(
          command, {}, [&, start = std::chrono::steady_clock::now()](pid_t child, const auto&) {
            const std::chrono::duration<double> passed = std::chrono::steady_clock::now() - start;
            if (passed.count() < moment) return false;
            ::kill(child, SIGKILL);
            return true;
          });
      const std::string left = slurp(bank);
      ASSERT_TRUE(left == before || left == after) << "killed after " << moment << " s";
      ++total;
      changed += left == after;
      // Nothing stands in the way of the next change, and there is a way back.
      if (left == before) {
        ASSERT_EQ(run_nagl(command).exit_code, 0);
        ASSERT_TRUE(slurp(bank) == after);
      }
      ASSERT_EQ(generations(), then);
      if (then > 1) {
        ASSERT_EQ(run_nagl("bank undo " + bank).exit_code, 0);
        ASSERT_TRUE(slurp(bank) == before);
      }
    }
  }
  RecordProperty("changed", changed);
  std::printf("%d of %d were killed after the change\n", changed, total);
}

}  // namespace
}  // namespace nagl
