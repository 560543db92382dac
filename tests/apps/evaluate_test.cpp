#include <nlohmann/json.hpp>

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

/// Evaluates on three small synthetic categories.
class EvaluateTest : public ::testing::Test {
 protected:
  static void SetUpTestSuite() {
    if (!testing::backbone_file()) return;
    shared_ = new TemporaryFolder;
    const auto made = run_nagl("synth --size 112 --train-good 4 --test-good 4 --test-defect 2 " +
                               std::string("--out ") + shared("data"));
    ASSERT_EQ(made.exit_code, 0) << made.err;
    const auto trained = run_nagl("train --image-size 112 --data " + shared("data/surfaces") +
                                  " --out " + shared("run") +
                                  " --set trainer.epochs=1 --set trainer.episodes_per_epoch=8 "
                                  "--set validation.hold_out=none");
    ASSERT_EQ(trained.exit_code, 0) << trained.err;
  }
  static void TearDownTestSuite() {
    delete shared_;
    shared_ = nullptr;
  }
  void SetUp() override { NAGL_NEEDS_BACKBONE(weights); }

  static std::string shared(const std::string& name) { return (*shared_ / name).string(); }
  std::string path(const std::string& name) const { return (folder / name).string(); }
  Outcome evaluate(const std::string& out, const std::string& arguments = "",
                   const std::function<bool(pid_t, const std::string&)>& watch = {}) const {
    return run_nagl("evaluate --image-size 112 --data " + shared("data/products") + " --out " +
                        path(out) + " " + arguments,
                    "", watch);
  }
  Json results(const std::string& out) const {
    return Json::parse(slurp(folder / out / "results.json"));
  }

  TemporaryFolder folder;

 private:
  static TemporaryFolder* shared_;
};

TemporaryFolder* EvaluateTest::shared_ = nullptr;

TEST_F(EvaluateTest, WritesWhatScriptsAndPeopleRead) {
  const auto outcome =
      evaluate("out", "--seeds 2 --normal-shots 1,2 --model " + shared("run/model.safetensors"));
  ASSERT_EQ(outcome.exit_code, 0) << outcome.err;
  EXPECT_TRUE(contains(outcome.out, "strict protocol")) << outcome.out;
  for (const char* method : {"normal_nn", "abnormal_nn", "both_nn", "nagl", "nagl_standardised",
                             "discriminant", "auto"}) {
    EXPECT_TRUE(contains(outcome.out, method)) << method;
  }
  const Json json = results("out");
  EXPECT_EQ(json["categories"].size(), 3U);
  EXPECT_EQ(json["summary"].size(), (1U + 3) * 2 * 7);
  EXPECT_EQ(json["references"].size(), 3U * 2 * 2);
  EXPECT_EQ(json["protocol"]["name"], "strict");
  EXPECT_EQ(json["dataset"]["format"], "mvtec");
  EXPECT_TRUE(json["backbone"].contains("checksum"));
  EXPECT_TRUE(json["model"].contains("checksum"));
  for (const auto& row : json["summary"]) {
    const double mean = row["metrics"]["image_auroc"]["mean"];
    EXPECT_GE(mean, 0);
    EXPECT_LE(mean, 1);
  }
  const auto lines = [&](const char* name) {
    const std::string text = slurp(folder / "out" / name);
    return static_cast<std::size_t>(std::count(text.begin(), text.end(), '\n'));
  };
  EXPECT_EQ(lines("results.csv"), 1U + 3 * 2 * 2 * 7);
  EXPECT_GT(lines("scores.csv"), 1U + 3 * 2 * 2 * 7);
  EXPECT_TRUE(contains(slurp(folder / "out/table.md"), "| normal_nn | 1 | 1 |"));
  EXPECT_TRUE(contains(slurp(folder / "out/table.tex"), "\\toprule"));
  const std::string html = slurp(folder / "out/report.html");
  for (const char* part :
       {"board", "blister", "keypad", "Image ROC", "PRO curve", "<polyline",
        "data:image/jpeg;base64,", "parameters", "References are drawn by seed"}) {
    EXPECT_TRUE(contains(html, part)) << part;
  }
  EXPECT_FALSE(contains(html, "src='overlays"));  // it needs no other file
}

TEST_F(EvaluateTest, TheSameReferencesGiveTheSameNumbers) {
  ASSERT_EQ(evaluate("one", "--seeds 1").exit_code, 0);
  const auto again = evaluate("two", "--seeds 1 --references " + path("one/results.json"));
  ASSERT_EQ(again.exit_code, 0) << again.err;
  EXPECT_EQ(slurp(folder / "one/results.csv"), slurp(folder / "two/results.csv"));
  const auto lacking = evaluate("three", "--seeds 2 --references " + path("one/results.json"));
  EXPECT_EQ(lacking.exit_code, 3);
  EXPECT_TRUE(contains(lacking.err, "seed 1")) << lacking.err;
}

/// results.json without what differs from run to run.
Json without_times(Json results) {
  for (auto& category : results["categories"]) category.erase("timing");
  return results;
}

TEST_F(EvaluateTest, GoesOnAfterAnInterruption) {
  ASSERT_EQ(evaluate("whole").exit_code, 0);
  for (const int signal : {SIGINT, SIGKILL}) {
    const std::string out = signal == SIGINT ? "interrupted" : "killed";
    const auto ended = evaluate(out, "", [&](pid_t child, const std::string&) {
      if (!std::filesystem::exists(folder / out / "categories/blister.json")) return false;
      ::kill(child, signal);
      return true;
    });
    ASSERT_EQ(ended.exit_code, signal == SIGINT ? 1 : 128 + SIGKILL) << ended.err;
    EXPECT_EQ(contains(ended.err, "--resume"), signal == SIGINT) << ended.err;
    EXPECT_FALSE(std::filesystem::exists(folder / out / "results.json"));

    const auto refused = evaluate(out);
    EXPECT_EQ(refused.exit_code, 2);
    EXPECT_TRUE(contains(refused.err, "--resume")) << refused.err;
    const auto other = evaluate(out, "--resume --seeds 1");
    EXPECT_EQ(other.exit_code, 2);
    EXPECT_TRUE(contains(other.err, "options.seeds")) << other.err;

    const auto resumed = evaluate(out, "--resume");
    ASSERT_EQ(resumed.exit_code, 0) << resumed.err;
    EXPECT_TRUE(contains(resumed.err, "blister: done before")) << resumed.err;
    EXPECT_EQ(without_times(results(out)), without_times(results("whole")));
    EXPECT_EQ(slurp(folder / out / "scores.csv"), slurp(folder / "whole/scores.csv"));
  }
}

TEST_F(EvaluateTest, FewPicturesAreToldBeforeAnyIsScored) {
  // The last category has one good picture to refer to.
  std::filesystem::copy(shared("data/products"), folder / "few",
                        std::filesystem::copy_options::recursive);
  for (const char* name : {"001", "002", "003"}) {
    std::filesystem::remove(folder / "few/keypad/train/good" / (std::string(name) + ".png"));
  }
  const std::string few = "evaluate --image-size 112 --data " + path("few") + "/ ";
  const auto outcome = run_nagl(few + "--normal-shots 2 --out " + path("out"));
  EXPECT_EQ(outcome.exit_code, 3) << outcome.err;
  EXPECT_TRUE(contains(outcome.err, "keypad")) << outcome.err;
  EXPECT_FALSE(std::filesystem::exists(folder / "out/evaluation.json"));
  const auto fewer =
      run_nagl(few + "--seeds 1 --methods normal_nn --protocol published --out " + path("out"));
  EXPECT_EQ(fewer.exit_code, 0) << fewer.err;
  EXPECT_TRUE(contains(slurp(folder / "out/table.md"), "# Evaluation on few\n"));
  EXPECT_EQ(results("out")["encoding"]["mask_alignment"], "published");
}

TEST_F(EvaluateTest, AModelThatKnowsTheTargetIsALeak) {
  const auto outcome = run_nagl("evaluate --image-size 112 --seeds 1 --methods nagl --data " +
                                shared("data/surfaces/woven") + " --out " + path("out") +
                                " --model " + shared("run/model.safetensors"));
  ASSERT_EQ(outcome.exit_code, 0) << outcome.err;
  EXPECT_TRUE(contains(outcome.err, "woven")) << outcome.err;
  EXPECT_TRUE(contains(slurp(folder / "out/report.html"), "not of an unseen domain"));
}

TEST_F(EvaluateTest, OneFileStandsForAnExperiment) {
  spill(folder / "experiment.json", Json{{"data", {shared("data/surfaces")}},
                                         {"trainer", {{"epochs", 1}, {"episodes_per_epoch", 8}}},
                                         {"pictures", {{"image_size", "112"}}},
                                         {"evaluation",
                                          {{"data", {shared("data/products/board")}},
                                           {"methods", {"normal_nn", "nagl"}},
                                           {"model", path("run/model.safetensors")},
                                           {"seeds", 1}}}}
                                        .dump());
  const std::string config = "--config " + path("experiment.json");
  const auto trained = run_nagl("train " + config + " --out " + path("run"));
  ASSERT_EQ(trained.exit_code, 0) << trained.err;
  const auto evaluated = run_nagl("evaluate " + config + " --out " + path("out"));
  ASSERT_EQ(evaluated.exit_code, 0) << evaluated.err;
  EXPECT_EQ(results("out")["summary"].size(), 2U * 2);
  for (const char* name : {"visa_to_mvtec", "mvtec_to_visa", "mvtec_to_brats"}) {
    // They are understood: what is missing are the data.
    const std::string file = std::string(NAGL_SOURCE_DIR "/configs/") + name + ".json";
    EXPECT_EQ(run_nagl("train --config " + file + " --out " + path("x")).exit_code, 3) << name;
    EXPECT_EQ(run_nagl("evaluate --config " + file + " --out " + path("y")).exit_code, 3) << name;
  }
}

TEST_F(EvaluateTest, RefusesWhatMakesNoSense) {
  const auto expect = [&](const std::string& arguments, int code, const std::string& word) {
    const auto outcome = evaluate("out", arguments);
    EXPECT_EQ(outcome.exit_code, code) << arguments << outcome.err;
    EXPECT_TRUE(contains(outcome.err, word)) << outcome.err;
    EXPECT_FALSE(std::filesystem::exists(folder / "out/results.json"));
  };
  expect("--protocol fair", 2, "fair");
  expect("--methods normal_nn,magic", 2, "magic");
  expect("--methods nagl", 2, "--model");
  expect("--normal-shots 0", 2, "normal shots");
  expect("--normal-shots some", 2, "some");
  expect("--normal-shots 9", 3, "normal references");
  expect("--set evaluation.seed=1", 2, "evaluation.seed");
  expect("--set trainr.epochs=1", 2, "trainr");
  expect("--format visa", 3, "1cls.csv");
  expect("--references " + path("none.json"), 3, "none.json");
  EXPECT_EQ(run_nagl("evaluate --out " + path("out")).exit_code, 2);
  const auto layer = evaluate("other", "--layer 3 --model " + shared("run/model.safetensors"));
  EXPECT_EQ(layer.exit_code, 4) << layer.err;
}

}  // namespace
}  // namespace nagl
