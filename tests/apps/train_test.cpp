#include <nlohmann/json.hpp>
#include <sstream>

#include "command.h"

namespace nagl {
namespace {

using testing::contains;
using testing::Outcome;
using testing::run_nagl;
using testing::slurp;
using testing::spill;
using testing::TemporaryFolder;
using Json = nlohmann::json;

/// Trains on three small synthetic categories; all tests share one feature store.
class TrainTest : public ::testing::Test {
 protected:
  static void SetUpTestSuite() {
    if (!testing::backbone_file()) return;
    shared_ = new TemporaryFolder;
    const auto outcome = run_nagl("synth --size 112 --train-good 2 --test-good 4 --test-defect 3 " +
                                  std::string("--out ") + shared("data"));
    ASSERT_EQ(outcome.exit_code, 0) << outcome.err;
  }
  static void TearDownTestSuite() {
    delete shared_;
    shared_ = nullptr;
  }
  void SetUp() override { NAGL_NEEDS_BACKBONE(weights); }

  static std::string shared(const std::string& name) { return (*shared_ / name).string(); }
  std::string path(const std::string& name) const { return (folder / name).string(); }

  /// Two epochs of five steps of two episodes unless `arguments` say otherwise.
  std::string train_arguments(const std::string& out, const std::string& arguments = "") const {
    return "train --image-size 112 --layer 7 --threads 1 --data " + shared("data/surfaces") +
           " --store " + shared("store") + " --out " + path(out) +
           " --set trainer.epochs=2 --set trainer.episodes_per_epoch=10 --set "
           "trainer.batch_size=2 --set trainer.learning_rate.rate=1e-3 " +
           arguments;
  }
  Outcome train(const std::string& out, const std::string& arguments = "",
                const std::string& before = "",
                const std::function<bool(pid_t, const std::string&)>& watch = {}) const {
    return run_nagl(train_arguments(out, arguments), before, watch);
  }

  static Json inspect(const std::string& file) {
    const auto outcome = run_nagl("inspect --json " + file);
    EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
    return Json::parse(outcome.out);
  }
  static std::string checksum(const std::string& file) { return inspect(file)["checksum"]; }
  static std::size_t lines(const std::string& text) {
    return static_cast<std::size_t>(std::count(text.begin(), text.end(), '\n'));
  }

  TemporaryFolder folder;

 private:
  static TemporaryFolder* shared_;
};

TemporaryFolder* TrainTest::shared_ = nullptr;

TEST_F(TrainTest, LeavesAModelThatScores) {
  const auto outcome = train("run");
  ASSERT_EQ(outcome.exit_code, 0) << outcome.err;
  EXPECT_TRUE(contains(outcome.out, "model: " + path("run/model.safetensors"))) << outcome.out;
  EXPECT_TRUE(contains(outcome.err, "is held out")) << outcome.err;  // one of three categories

  const Json run = Json::parse(slurp(folder / "run/run.json"));
  EXPECT_EQ(run["options"]["trainer"]["epochs"], 2);
  EXPECT_TRUE(run["versions"].contains("torch"));
  EXPECT_EQ(run["source"]["trained_on"].size(), 2U);
  EXPECT_GT(run["source"]["held_out"], 0);
  EXPECT_EQ(run["result"]["epochs"], 2);
  EXPECT_EQ(lines(slurp(folder / "run/metrics.csv")), 3U);  // a head line and two epochs
  EXPECT_TRUE(slurp(folder / "run/curve.svg").starts_with("<svg"));
  // With a validation the model is the best epoch's; the last one's is kept beside it.
  EXPECT_EQ(checksum(path("run/model.safetensors")), checksum(path("run/best.safetensors")));
  EXPECT_TRUE(std::filesystem::exists(folder / "run/last.safetensors"));

  const Json model = inspect(path("run/model.safetensors"));
  EXPECT_EQ(model["values"], 2378112);
  EXPECT_EQ(model["metadata"]["kind"], "nagl head");
  EXPECT_EQ(model["metadata"]["options"]["trainer"]["batch_size"], 2);
  EXPECT_TRUE(model["metadata"].contains("validation"));

  const std::string board = shared("data/products/board");
  const std::string score = "score --image-size 112 --json --normal " + board + "/train/good ";
  const std::string abnormal =
      "--abnormal " + board + "/test/scratch/000.png --masks " + board + "/ground_truth/scratch ";
  const std::string with_model = "--method nagl --model " + path("run/model.safetensors") + " ";
  const auto scored = run_nagl(score + with_model + abnormal + board + "/test");
  ASSERT_EQ(scored.exit_code, 0) << scored.err;
  std::istringstream stream(scored.out);
  std::size_t count = 0;
  for (std::string line; std::getline(stream, line); ++count) {
    const double value = Json::parse(line)["image_score"];
    EXPECT_GT(value, 0);
    EXPECT_LT(value, 1);
  }
  EXPECT_GT(count, 4U);

  // A bank carries the model: it gives the same lines, and refuses another model.
  const std::string bank = path("bank.safetensors");
  const auto enrolled = run_nagl("enroll --image-size 112 --normal " + board + "/train/good " +
                                 with_model + abnormal + "--out " + bank);
  ASSERT_EQ(enrolled.exit_code, 0) << enrolled.err;
  const std::string by_bank = "score --json --bank " + bank + " ";
  EXPECT_EQ(run_nagl(by_bank + board + "/test").out, scored.out);
  EXPECT_EQ(run_nagl(by_bank + with_model + board + "/test").out, scored.out);
  std::string other_model = slurp(folder / "run/model.safetensors");
  other_model[other_model.size() - 4] ^= 1;  // the last weight, by the least that there is
  spill(folder / "other.safetensors", other_model);
  const auto foreign =
      run_nagl(by_bank + "--model " + path("other.safetensors") + " " + board + "/test");
  EXPECT_EQ(foreign.exit_code, 4);
  EXPECT_TRUE(contains(foreign.err, "--model")) << foreign.err;

  // Without abnormal references it says what it is, and gives that method's scores.
  const auto alone = run_nagl(score + with_model + board + "/test/good");
  EXPECT_EQ(alone.exit_code, 0) << alone.err;
  EXPECT_TRUE(contains(alone.err, "is normal_nn")) << alone.err;
  EXPECT_EQ(alone.out, run_nagl(score + "--method normal_nn " + board + "/test/good").out);

  const auto other_layer = run_nagl(score + with_model + abnormal + "--layer 5 " + board + "/test");
  EXPECT_EQ(other_layer.exit_code, 4);
  EXPECT_TRUE(contains(other_layer.err, "layer 5")) << other_layer.err;
  EXPECT_EQ(run_nagl(score + "--method nagl " + abnormal + board + "/test").exit_code, 2);
  EXPECT_EQ(run_nagl(score + "--model " + path("run/model.safetensors") + " " + board + "/test")
                .exit_code,
            2);
}

TEST_F(TrainTest, WithoutValidationTheLastEpochIsTheModel) {
  const auto outcome = train("run", "--set validation.hold_out=none");
  ASSERT_EQ(outcome.exit_code, 0) << outcome.err;
  EXPECT_EQ(checksum(path("run/model.safetensors")), checksum(path("run/last.safetensors")));
  EXPECT_FALSE(std::filesystem::exists(folder / "run/best.safetensors"));
}

/// Ends a training by a signal, goes on with it, and compares it with one that was not ended.
class InterruptedTrainTest : public TrainTest, public ::testing::WithParamInterface<int> {};

TEST_P(InterruptedTrainTest, GoesOnToTheSameWeights) {
  // Long epochs, so that the signal falls into the second one.
  const std::string longer =
      "--set trainer.epochs=3 --set trainer.episodes_per_epoch=200 --set validation.hold_out=none ";
  const auto whole = train("whole", longer);
  ASSERT_EQ(whole.exit_code, 0) << whole.err;
  const auto ended = train("cut", longer, "", [&](pid_t child, const std::string&) {
    if (!std::filesystem::exists(folder / "cut/curve.svg")) return false;  // written last
    ::kill(child, GetParam());
    return true;
  });
  const bool killed = GetParam() == SIGKILL;
  EXPECT_EQ(ended.exit_code, killed ? 128 + SIGKILL : 1) << ended.err;
  EXPECT_EQ(contains(ended.err, "--resume"), !killed) << ended.err;
  EXPECT_FALSE(std::filesystem::exists(folder / "cut/model.safetensors"));
  const Json position = inspect(path("cut/checkpoint.safetensors"))["metadata"]["position"];
  EXPECT_EQ(position["epoch"], 1);
  if (killed) {
    EXPECT_EQ(position["step"], 0);
  } else {
    EXPECT_GT(position["step"], 0);
  }

  const auto resumed =
      run_nagl("train --resume --threads 1 --store " + shared("store") + " --out " + path("cut"));
  ASSERT_EQ(resumed.exit_code, 0) << resumed.err;
  EXPECT_EQ(checksum(path("cut/model.safetensors")), checksum(path("whole/model.safetensors")));
  EXPECT_EQ(checksum(path("cut/checkpoint.safetensors")),
            checksum(path("whole/checkpoint.safetensors")));  // the optimiser's state too
  // Losses of the epochs, up to the columns of time.
  const auto losses = [](const std::string& text) {
    std::string kept;
    std::istringstream stream(text);
    for (std::string line; std::getline(stream, line);) {
      kept += line.substr(0, line.rfind(',', line.rfind(',') - 1)) + "\n";
    }
    return kept;
  };
  EXPECT_EQ(losses(slurp(folder / "cut/metrics.csv")), losses(slurp(folder / "whole/metrics.csv")));
}

INSTANTIATE_TEST_SUITE_P(Signals, InterruptedTrainTest, ::testing::Values(SIGINT, SIGTERM, SIGKILL),
                         [](const auto& info) {
                           return info.param == SIGINT    ? "Interrupt"
                                  : info.param == SIGTERM ? "Terminate"
                                                          : "Kill";
                         });

TEST_F(TrainTest, RefusesOptionsThatMakeNoSense) {
  const auto expect = [&](const std::string& arguments, int code, const std::string& word) {
    const auto outcome = train("run", arguments);
    EXPECT_EQ(outcome.exit_code, code) << arguments << outcome.err;
    EXPECT_TRUE(contains(outcome.err, word)) << outcome.err;
    EXPECT_EQ(lines(outcome.err), 1U) << outcome.err;
  };
  expect("--set trainer.epoch=3", 2, "trainer.epoch");
  expect("--set trainer.epochs=few", 2, "trainer.epochs");
  expect("--set trainer.epochs=0", 2, "trainer.epochs");
  expect("--set head.heads=5", 2, "head.heads");
  expect("--set trainer.loss=hinge", 2, "hinge");
  expect("--set nonsense", 2, "nonsense");
  spill(folder / "bad.json", "{\"trainer\": {\"loss\": \"paper\"}, \"trainr\": {}}");
  expect("--config " + path("bad.json"), 2, "trainr");
  spill(folder / "cut.json", "{\"trainer\": ");
  expect("--config " + path("cut.json"), 2, path("cut.json"));
  expect("--config " + path("none.json"), 2, path("none.json"));
  EXPECT_EQ(run_nagl("train --out " + path("run")).exit_code, 2);  // nothing to train on
  spill(folder / "empty/readme", "");
  EXPECT_EQ(run_nagl("train --data " + path("empty") + " --out " + path("run")).exit_code, 3);
  EXPECT_FALSE(std::filesystem::exists(folder / "run/model.safetensors"));
}

TEST_F(TrainTest, ConfigFilesAndSettingsBuildUponEachOther) {
  const auto outcome = train("run", "--config " NAGL_SOURCE_DIR
                                    "/configs/published.json --set trainer.epochs=1 --set "
                                    "episodes.normal_shots=[1,2]");
  ASSERT_EQ(outcome.exit_code, 0) << outcome.err;
  const Json options = Json::parse(slurp(folder / "run/run.json"))["options"];
  EXPECT_EQ(options["encoding"]["mask_alignment"], "published");  // the file's
  EXPECT_EQ(options["trainer"]["epochs"], 1);                     // the setting's, after the file's
  EXPECT_EQ(options["episodes"]["normal_shots"], Json({1, 2}));
  const auto printed = run_nagl("train --print-options");
  EXPECT_EQ(printed.exit_code, 0);
  EXPECT_TRUE(Json::parse(printed.out)["trainer"].contains("learning_rate")) << printed.out;
}

TEST_F(TrainTest, StopsAtALossThatIsNotFinite) {
  // Finite for the first epoch, then far too fast.
  const std::string settings =
      "--set trainer.learning_rate.schedule=cosine --set trainer.learning_rate.rate=1e38 --set "
      "validation.hold_out=none";
  const auto outcome = train("run", settings);
  EXPECT_EQ(outcome.exit_code, 1) << outcome.err;
  EXPECT_TRUE(contains(outcome.err, "not finite")) << outcome.err;
  EXPECT_TRUE(contains(outcome.err, "step ")) << outcome.err;
  EXPECT_FALSE(std::filesystem::exists(folder / "run/model.safetensors"));
  EXPECT_FALSE(std::filesystem::exists(folder / "run/checkpoint.safetensors"));
}

TEST_F(TrainTest, AFullDiskLeavesTheOldCheckpoint) {
  const std::string longer = "--set trainer.epochs=3 --set trainer.episodes_per_epoch=200 ";
  const auto ended = train("run", longer, "", [&](pid_t child, const std::string&) {
    if (!std::filesystem::exists(folder / "run/curve.svg")) return false;
    ::kill(child, SIGKILL);
    return true;
  });
  ASSERT_EQ(ended.exit_code, 128 + SIGKILL) << ended.err;
  const std::string before = slurp(folder / "run/checkpoint.safetensors");
  const std::string resume =
      "train --resume --threads 1 --store " + shared("store") + " --out " + path("run");
  // 15 MB a file: enough for a head, too little for a checkpoint.
  const auto full = run_nagl(resume, "ulimit -f 30000; ");
  EXPECT_EQ(full.exit_code, 3) << full.err;
  EXPECT_TRUE(contains(full.err, "checkpoint.safetensors")) << full.err;
  EXPECT_TRUE(slurp(folder / "run/checkpoint.safetensors") == before);
  for (const auto& entry : std::filesystem::directory_iterator(folder / "run")) {
    EXPECT_FALSE(contains(entry.path().filename().string(), ".tmp")) << entry.path();
  }
  const auto resumed = run_nagl(resume);
  EXPECT_EQ(resumed.exit_code, 0) << resumed.err;
}

TEST_F(TrainTest, OneFolderHoldsOneTraining) {
  const std::string longer = "--set trainer.epochs=500 ";
  int second = -1, third = -1;
  std::string second_error, third_error;
  const auto first = train("run", longer, "", [&](pid_t child, const std::string&) {
    if (!std::filesystem::exists(folder / "run/curve.svg")) return false;
    const auto without = train("run", longer);
    second = without.exit_code;
    second_error = without.err;
    const auto with = train("run", longer + "--resume");
    third = with.exit_code;
    third_error = with.err;
    ::kill(child, SIGTERM);
    return true;
  });
  EXPECT_EQ(first.exit_code, 1) << first.err;
  EXPECT_EQ(second, 2);
  EXPECT_TRUE(contains(second_error, "another process")) << second_error;
  EXPECT_EQ(third, 2);
  EXPECT_TRUE(contains(third_error, "another process")) << third_error;
}

TEST_F(TrainTest, ResumingUnderOtherTermsIsRefused) {
  const auto begun = train("run", "--set trainer.epochs=1 --set trainer.loss=paper");
  ASSERT_EQ(begun.exit_code, 0) << begun.err;
  const std::string resume =
      "train --resume --threads 1 --store " + shared("store") + " --out " + path("run") + " ";
  const auto options = run_nagl(resume + "--set trainer.loss=published");
  EXPECT_EQ(options.exit_code, 2);
  EXPECT_TRUE(contains(options.err, "trainer.loss")) << options.err;

  const auto layer = run_nagl(resume + "--layer 3");
  EXPECT_EQ(layer.exit_code, 4) << layer.err;
  EXPECT_TRUE(contains(layer.err, "layer 7") && contains(layer.err, "layer 3")) << layer.err;

  spill(folder / "run/checkpoint.safetensors",
        slurp(folder / "run/checkpoint.safetensors").substr(0, 100000));
  const auto damaged = run_nagl(resume);
  EXPECT_EQ(damaged.exit_code, 4) << damaged.err;
  EXPECT_TRUE(contains(damaged.err, "checkpoint.safetensors")) << damaged.err;
}

TEST_F(TrainTest, DamagedFeaturesAreMadeAnew) {
  const auto first = train("one", "--set trainer.epochs=1");
  ASSERT_EQ(first.exit_code, 0) << first.err;
  std::filesystem::path entry;
  for (const auto& file : std::filesystem::recursive_directory_iterator(shared("store"))) {
    if (file.path().extension() == ".safetensors") entry = file.path();
  }
  const Json stored = inspect(entry.string());
  EXPECT_EQ(stored["metadata"]["kind"], "nagl features");
  EXPECT_EQ(stored["metadata"]["recipe"]["layer"], 7);
  std::string bytes = slurp(entry);
  bytes[bytes.size() - 5] = static_cast<char>(bytes[bytes.size() - 5] ^ 1);
  spill(entry, bytes);
  const auto second = train("two", "--set trainer.epochs=1");
  ASSERT_EQ(second.exit_code, 0) << second.err;
  EXPECT_TRUE(contains(second.err, ": 1 of ")) << second.err;
  EXPECT_EQ(checksum(path("one/last.safetensors")), checksum(path("two/last.safetensors")));
}

}  // namespace
}  // namespace nagl
