#include <nlohmann/json.hpp>
#include <opencv2/core.hpp>
#include <regex>
#include <thread>

#include "command.h"
#include "nagl/image/image.h"
#include "nagl/model/weights.h"
#include "spots.h"

namespace nagl {
namespace {

using testing::contains;
using testing::Outcome;
using testing::part;
using testing::run_nagl;
using testing::slurp;
using testing::TemporaryFolder;
namespace fs = std::filesystem;
using Json = nlohmann::json;

constexpr int kShards = 4;

/// Several processes that share a command's work.
class ShardsTest : public ::testing::Test {
 protected:
  void SetUp() override {
    NAGL_NEEDS_BACKBONE(weights);
    for (std::uint64_t i = 0; i < 5; ++i) {
      write_png(folder / ("good/" + std::to_string(i) + ".png"), part(i, false));
    }
    for (std::uint64_t i = 0; i < 12; ++i) {
      write_png(folder / ("new/" + std::to_string(100 + i) + ".png"), part(50 + i, i % 3 == 0));
    }
  }
  std::string path(const std::string& name) const { return (folder / name).string(); }

  /// Runs a command as all shards at once. @param victim of `watch`, which may kill it
  std::vector<Outcome> run_shards(
      const std::string& command, int victim = -1,
      const std::function<bool(pid_t, const std::string&)>& watch = {}) const {
    std::vector<Outcome> outcomes(kShards);
    std::vector<std::thread> threads;
    for (int i = 0; i < kShards; ++i) {
      threads.emplace_back([&, i] {
        const std::string shard =
            " --threads 1 --lease 2 --shard " + std::to_string(i) + "/" + std::to_string(kShards);
        outcomes[static_cast<std::size_t>(i)] =
            run_nagl(command + shard, "", i == victim ? watch : nullptr);
      });
    }
    for (auto& thread : threads) thread.join();
    return outcomes;
  }
  /// Kills a shard as soon as it holds a claim.
  std::function<bool(pid_t, const std::string&)> kill_at_work(const fs::path& shards) const {
    return [shards](pid_t child, const std::string&) {
      std::error_code error;
      for (const auto& claim : fs::directory_iterator(shards / "claims", error)) {
        const std::string owner = " " + std::to_string(child) + " ";
        if (!contains(slurp(claim.path()), owner)) continue;
        ::kill(child, SIGKILL);
        return true;
      }
      return false;
    };
  }
  /// The same files with the same contents, but for what `plain` takes out.
  void expect_same_files(const std::string& one, const std::string& other,
                         const std::function<std::string(std::string)>& plain) const {
    const auto files = [&](const std::string& root) {
      std::map<std::string, std::string> contents;
      for (const auto& entry : fs::recursive_directory_iterator(folder / root)) {
        const std::string name = fs::relative(entry.path(), folder / root).string();
        if (!entry.is_regular_file() || contains(name, ".shards")) continue;
        contents[name] =
            plain(std::regex_replace(slurp(entry.path()), std::regex("/" + root + "/"), "/OUT/"));
      }
      return contents;
    };
    const auto left = files(one), right = files(other);
    ASSERT_EQ(left.size(), right.size());
    for (const auto& [name, content] : left) {
      ASSERT_TRUE(right.contains(name)) << name;
      EXPECT_TRUE(right.at(name) == content) << name;
    }
  }

  TemporaryFolder folder;
};

std::string without_times(std::string text) {
  text = std::regex_replace(text, std::regex("\"(seconds|seconds_with_loading)\": [0-9.e-]+"), "");
  return text;
}

TEST_F(ShardsTest, ScoreAsOneProcessDoesThoughOneIsKilled) {
  const std::string command = "score --image-size 112 --threshold 0.4 --sorted --normal " +
                              path("good") + " " + path("new") + " --out ";
  ASSERT_EQ(run_nagl(command + path("one") + " --threads 1").exit_code, 0);
  const auto shards = run_shards(command + path("many"), 2, kill_at_work(folder / "many/.shards"));
  EXPECT_EQ(shards[2].exit_code, 128 + SIGKILL);
  for (const int i : {0, 1, 3}) {
    const auto& outcome = shards[static_cast<std::size_t>(i)];
    EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
    EXPECT_TRUE(contains(outcome.out, "12 pictures scored")) << outcome.out;
  }
  expect_same_files("one", "many", without_times);
  EXPECT_TRUE(fs::is_empty(folder / "many/.shards/claims"));

  // Whoever comes late finds all done; another scoring is refused.
  const auto late = run_nagl(command + path("many") + " --shard 0/2");
  EXPECT_EQ(late.exit_code, 0) << late.err;
  const auto merged = run_nagl(command + path("many") + " --merge");
  EXPECT_EQ(merged.exit_code, 0) << merged.err;
  EXPECT_TRUE(contains(merged.out, "12 pictures scored")) << merged.out;
  const auto other = run_nagl(command + path("many") + " --tile 60 --shard 0/2");
  EXPECT_EQ(other.exit_code, 2);
  EXPECT_TRUE(contains(other.err, "score with another encoding.tiling.tile")) << other.err;
}

TEST_F(ShardsTest, EnrollTheBankOfOneProcess) {
  const std::string command = "enroll --image-size 112 --normal " + path("good") + " --out ";
  ASSERT_EQ(run_nagl(command + path("one.safetensors") + " --threads 1").exit_code, 0);
  const auto shards = run_shards(command + path("many.safetensors"), 1,
                                 kill_at_work(folder / ".many.safetensors.shards"));
  for (const int i : {0, 2, 3}) {
    const auto& outcome = shards[static_cast<std::size_t>(i)];
    EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
    EXPECT_TRUE(contains(outcome.out, "5 normal pictures")) << outcome.out;
  }
  EXPECT_TRUE(slurp(folder / "one.safetensors") == slurp(folder / "many.safetensors"));
  EXPECT_FALSE(fs::exists(folder / ".many.safetensors.shards/features"));
  const auto again = run_nagl(command + path("many.safetensors") + " --shard 0/2");
  EXPECT_EQ(again.exit_code, 0) << again.err;  // whoever comes late
  EXPECT_TRUE(contains(again.out, "5 normal pictures")) << again.out;
  // What an earlier one left stands in nobody's way.
  fs::remove(folder / "many.safetensors");
  ASSERT_EQ(run_nagl(command + path("many.safetensors") + " --threads 1 --shard 0/1").exit_code, 0);
  EXPECT_TRUE(slurp(folder / "one.safetensors") == slurp(folder / "many.safetensors"));
}

TEST_F(ShardsTest, EvaluateAndTrainAsOneProcessDoes) {
  ASSERT_EQ(run_nagl("synth --size 112 --train-good 3 --test-good 3 --test-defect 2 --out " +
                     path("data"))
                .exit_code,
            0);
  const std::string evaluate =
      "evaluate --image-size 112 --seeds 2 --methods normal_nn,auto "
      "--data " +
      path("data/products") + " --out ";
  ASSERT_EQ(run_nagl(evaluate + path("one") + " --threads 1").exit_code, 0);
  const auto shards = run_shards(evaluate + path("many"), 3, kill_at_work(folder / "many/.shards"));
  for (const int i : {0, 1, 2}) {
    const auto& outcome = shards[static_cast<std::size_t>(i)];
    EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
    EXPECT_TRUE(contains(outcome.out, "image AUROC")) << outcome.out;
  }
  const auto numbers = [&](const std::string& name) {
    Json all = Json::parse(slurp(folder / name / "results.json"));
    for (auto& category : all["categories"]) category.erase("timing");
    return all;
  };
  EXPECT_TRUE(numbers("one") == numbers("many"));
  for (const char* file : {"results.csv", "scores.csv"}) {
    EXPECT_TRUE(slurp(folder / "one" / file) == slurp(folder / "many" / file)) << file;
  }

  const std::string train = "train --image-size 112 --data " + path("data/surfaces") +
                            " --set trainer.epochs=1 --set trainer.episodes_per_epoch=8 --set "
                            "validation.hold_out=none --out ";
  ASSERT_EQ(run_nagl(train + path("run-one") + " --threads 1").exit_code, 0);
  const auto trained = run_shards(train + path("run-many"));
  for (int i = 0; i < kShards; ++i) {
    const auto& outcome = trained[static_cast<std::size_t>(i)];
    EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
    EXPECT_TRUE(contains(outcome.out, i == 0 ? "trained 1 epochs" : "shard 0 trains"));
  }
  EXPECT_EQ(WeightsFile(folder / "run-one/model.safetensors").checksum(),
            WeightsFile(folder / "run-many/model.safetensors").checksum());
}

TEST_F(ShardsTest, SayWhatIsMissing) {
  const std::string command = "score --image-size 112 --normal " + path("good") + " " + path("new");
  const auto refused = [&](const std::string& arguments, int code, const std::string& why) {
    const auto outcome = run_nagl(command + " " + arguments);
    EXPECT_EQ(outcome.exit_code, code) << outcome.err;
    EXPECT_TRUE(contains(outcome.err, why)) << outcome.err;
  };
  refused("--shard 0/2", 2, "needs --out");
  refused("--shard 2/2 --out " + path("out"), 2, "the last is 1");
  refused("--shard auto --out " + path("out"), 2, "none of RANK");
  refused("--shard 0/2 --overwrite --out " + path("out"), 2, "new folder");
  refused("--merge --out " + path("out"), 3, "12 of 12 parts of the work");
  const auto watched = run_nagl("score --image-size 112 --normal " + path("good") + " --watch " +
                                path("new") + " --shard 0/2 --out " + path("out"));
  EXPECT_EQ(watched.exit_code, 2);
  EXPECT_TRUE(contains(watched.err, "those that come")) << watched.err;
}

TEST_F(ShardsTest, AreNumberedByWhatStartsThem) {
  const std::string command = "score --image-size 112 --no-overlays --no-report --normal " +
                              path("good") + " " + path("new") + " --shard auto --out ";
  const auto outcome = run_nagl(command + path("out"), "export SLURM_PROCID=0 SLURM_NTASKS=1; ");
  EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
  EXPECT_TRUE(contains(outcome.out, "12 pictures scored"));
}

}  // namespace
}  // namespace nagl
