#include <cstdlib>
#include <nlohmann/json.hpp>
#include <opencv2/core.hpp>

#include "command.h"
#include "nagl/core/error.h"
#include "nagl/image/image.h"
#include "nagl/image/volume.h"
#include "volumes.h"

namespace nagl {
namespace {

using testing::contains;
using testing::Outcome;
using testing::run_nagl;
using testing::slurp;
using testing::spill;
using testing::TemporaryFolder;
namespace fs = std::filesystem;
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

/// Copies of the synthetic board's pictures in the layouts of other data sets.
class LayoutsTest : public EvaluateTest {
 protected:
  void copy(const std::string& from, const std::string& to) const {
    fs::create_directories((folder / to).parent_path());
    fs::copy_file(shared("data/products/board/" + from), folder / to);
  }
  void copy_mask(const std::string& index, const std::string& to) const {
    copy("ground_truth/scratch/" + index + "_mask.png", to);
  }
  void write_empty_mask(const std::string& to) const {
    const cv::Mat empty = cv::Mat::zeros(112, 112, CV_8U);
    write_png(folder / "empty.png", empty);
    fs::create_directories((folder / to).parent_path());
    fs::rename(folder / "empty.png", folder / to);
  }
};

TEST_F(LayoutsTest, DataSetsAreScoredAsTheirAuthorsShipThem) {
  for (const std::string i : {"000", "001", "002"}) {
    copy("train/good/" + i + ".png", "ad2/can/train/good/" + i + ".png");
    copy("train/good/" + i + ".png", "3d/bagel/train/good/rgb/" + i + ".png");
    copy("train/good/" + i + ".png", "ksdd2/train/10" + i + ".png");
    write_empty_mask("ksdd2/train/10" + i + "_GT.png");
    copy("train/good/" + i + ".png", "dagm/Class1/Train/" + i + ".PNG");
    copy("train/good/" + i + ".png", "ksdd/kos0" + i + "/Part0.jpg");
    write_empty_mask("ksdd/kos0" + i + "/Part0_label.bmp");
    copy("train/good/" + i + ".png", "tile/MT_Free/Imgs/" + i + ".jpg");
  }
  write_empty_mask("dagm/Class1/Train/Label/unused_label.PNG");
  for (const std::string i : {"000", "001"}) {
    copy("test/good/" + i + ".png", "ad2/can/test_public/good/" + i + ".png");
    copy("test/good/" + i + ".png", "3d/bagel/test/good/rgb/" + i + ".png");
    copy("test/good/" + i + ".png", "ksdd2/test/20" + i + ".png");
    write_empty_mask("ksdd2/test/20" + i + "_GT.png");
    copy("test/good/" + i + ".png", "dagm/Class1/Test/" + i + ".PNG");
    copy("test/scratch/" + i + ".png", "ad2/can/test_public/bad/1" + i + ".png");
    copy_mask(i, "ad2/can/test_public/ground_truth/bad/1" + i + "_mask.png");
    copy("test/scratch/" + i + ".png", "3d/bagel/test/crack/rgb/" + i + ".png");
    copy_mask(i, "3d/bagel/test/crack/gt/" + i + ".png");
    copy("test/scratch/" + i + ".png", "ksdd2/test/21" + i + ".png");
    copy_mask(i, "ksdd2/test/21" + i + "_GT.png");
    copy("test/scratch/" + i + ".png", "dagm/Class1/Test/1" + i + ".PNG");
    copy_mask(i, "dagm/Class1/Test/Label/1" + i + "_label.PNG");
    copy("test/scratch/" + i + ".png", "ksdd/kos1" + i + "/Part0.jpg");
    copy_mask(i, "ksdd/kos1" + i + "/Part0_label.bmp");
    copy("test/scratch/" + i + ".png", "tile/MT_Break/Imgs/1" + i + ".jpg");
    copy_mask(i, "tile/MT_Break/Imgs/1" + i + ".png");
  }
  copy("test/good/002.png", "ad2/can/validation/good/000.png");
  std::string data;
  for (const char* name : {"ad2", "3d", "ksdd2", "dagm", "ksdd", "tile"}) {
    const auto inspected = run_nagl("inspect --json " + path(name));
    EXPECT_EQ(inspected.exit_code, 0) << inspected.out << inspected.err;
    data += " --data " + path(name);
  }
  const auto outcome = run_nagl("evaluate --image-size 112 --methods normal_nn --seeds 1 --out " +
                                path("out") + data);
  ASSERT_EQ(outcome.exit_code, 0) << outcome.err;
  const Json categories = results("out")["categories"];
  ASSERT_EQ(categories.size(), 6U);
  for (const auto& category : categories) {
    const Json& metrics = category["rows"][0]["metrics"];
    EXPECT_EQ(category["anomalous"], 2) << category["name"];
    EXPECT_TRUE(metrics["image_auroc"].is_number()) << category["name"];
    EXPECT_TRUE(metrics["pixel_auroc"].is_number()) << category["name"];
    EXPECT_EQ(metrics["pixel_f1"].is_number(), category["name"] == "can") << category["name"];
  }
  EXPECT_TRUE(contains(outcome.out, "PRO      pixel F1\n")) << outcome.out;
}

TEST_F(LayoutsTest, VolumesOfPatientsAreScoredSliceBySlice) {
  spill(folder / "like.nii", testing::nifti({40, 40, 4}, testing::kRas));
  const auto write = [&](const std::string& patient, const std::string& kind, int seed) {
    cv::RNG random(static_cast<std::uint64_t>(seed));
    std::vector<float> voxels(40 * 40 * 4);
    for (std::size_t i = 0; i < voxels.size(); ++i) {
      const std::size_t slice = i / 1600, x = i % 40, y = i / 40 % 40;
      const bool tumour = slice == 2 && x > 22 && x < 34 && y > 8 && y < 20;
      const bool truth = kind == "seg";
      voxels[i] =
          truth ? (tumour ? 4.0F : 0) : static_cast<float>(random.uniform(300, 400) + tumour * 500);
    }
    fs::create_directories(folder / "brats" / patient);
    write_volume_like(folder / "like.nii",
                      folder / "brats" / patient / (patient + "_" + kind + ".nii.gz"),
                      Volume({40, 40, 4}, voxels));
  };
  try {
    write("p1", "t1", 1);
  } catch (const DataError& error) {
    GTEST_SKIP() << error.what();
  }
  for (const char* kind : {"t1", "seg"}) {
    for (int i = 0; i < 3; ++i) write("p" + std::to_string(i), kind, i);
  }
  const auto inspected = run_nagl("inspect --json --modality t1 " + path("brats"));
  EXPECT_EQ(inspected.exit_code, 0) << inspected.err;
  const Json counts = Json::parse(inspected.out)["categories"][0];
  EXPECT_EQ(counts["train"], 3);
  EXPECT_EQ(counts["test"]["tumour"], 2);
  EXPECT_EQ(counts["test"]["good"], 6);
  EXPECT_EQ(run_nagl("inspect " + path("brats")).exit_code, 3);  // there is no flair
  const std::string command = "evaluate --image-size 112 --methods discriminant --seeds 1 --data " +
                              path("brats") + " --modality t1 --out " + path("out");
  const auto outcome = run_nagl(command);
  ASSERT_EQ(outcome.exit_code, 0) << outcome.err;
  const Json result = results("out");
  EXPECT_EQ(result["dataset"]["format"], "brats");
  // The tumour that is shown, and the other slices of its patient, are not asked.
  EXPECT_EQ(result["categories"][0]["rows"][0]["anomalous"], 1);
  EXPECT_EQ(result["categories"][0]["rows"][0]["good"], 3);
  EXPECT_GT(result["categories"][0]["rows"][0]["metrics"]["pixel_auroc"], 0.9);
  EXPECT_EQ(run_nagl(command + " --resume").exit_code, 0);

  const std::string volume = path("brats/p2/p2_t1.nii.gz");
  const auto scored =
      run_nagl("score --image-size 112 --json --normal " + path("brats/p0/p0_t1.nii.gz") +
               "#axial:0-1 --out " + path("scores") + " " + volume);
  ASSERT_EQ(scored.exit_code, 0) << scored.err;
  EXPECT_TRUE(contains(scored.out, "p2_t1.nii.gz#axial:3")) << scored.out;
  const auto scores = read_volume(folder / "scores/volumes/p2_t1-axial.nii.gz");
  EXPECT_EQ(scores->size(), (std::array<std::int64_t, 3>{40, 40, 4}));
  EXPECT_GT(scores->at(28, 14, 2), 2 * scores->at(8, 30, 2));
  EXPECT_TRUE(fs::exists(folder / "scores/maps/p2_t1-axial-002.png"));
}

TEST_F(LayoutsTest, PicturesWithoutTruthAreMadeReadyForTheirServer) {
  for (const std::string i : {"000", "001"}) {
    copy("train/good/" + i + ".png", "ad2/can/train/good/" + i + ".png");
    copy("test/good/" + i + ".png", "ad2/can/test_public/good/" + i + ".png");
    copy("test/scratch/" + i + ".png", "ad2/can/test_public/bad/1" + i + ".png");
    copy_mask(i, "ad2/can/test_public/ground_truth/bad/1" + i + "_mask.png");
    copy("test/scratch/" + i + ".png", "ad2/can/test_private/" + i + ".png");
  }
  copy("test/good/002.png", "ad2/can/validation/good/000.png");
  copy("test/good/003.png", "ad2/can/test_private_mixed/000_mixed.png");
  const std::string command = "evaluate --image-size 112 --seeds 1 --abnormal-shots 0 --data " +
                              path("ad2") + " --out " + path("out") + " --submission " +
                              path("mine/submission");
  const auto refused = run_nagl(command);  // several methods
  EXPECT_EQ(refused.exit_code, 2);
  EXPECT_TRUE(contains(refused.err, "--methods")) << refused.err;
  const auto outcome = run_nagl(command + " --methods normal_nn");
  ASSERT_EQ(outcome.exit_code, 0) << outcome.err;
  EXPECT_TRUE(contains(outcome.out, "submission.tar.gz")) << outcome.out;
  ASSERT_EQ(std::system(("tar -xzf " + path("mine/submission.tar.gz") + " -C " +
                         (fs::create_directory(folder / "there"), path("there")))
                            .c_str()),
            0);
  for (const char* name :
       {"test_private/000", "test_private/001", "test_private_mixed/000_mixed"}) {
    const std::string tiff =
        slurp(folder / "there/anomaly_images/can" / (std::string(name) + ".tiff"));
    EXPECT_GT(tiff.size(), 112U * 112 * 2);
    EXPECT_LT(tiff.size(), 112U * 112 * 2 + 2000);
    const cv::Mat marked =
        read_image(folder / "there/anomaly_images_thresholded/can" / (std::string(name) + ".png"))
            .rgb;
    EXPECT_EQ(marked.size(), cv::Size(112, 112));
    EXPECT_EQ(cv::countNonZero(marked.reshape(1) == 0) + cv::countNonZero(marked.reshape(1) == 255),
              112 * 112 * 3);
  }
  // What is missing is made again.
  fs::remove(folder / "mine/submission/anomaly_images/can/test_private/001.tiff");
  const auto again = run_nagl(command + " --methods normal_nn --resume");
  EXPECT_EQ(again.exit_code, 0) << again.err;
  EXPECT_TRUE(fs::exists(folder / "mine/submission/anomaly_images/can/test_private/001.tiff"));
  const auto nothing = run_nagl("evaluate --image-size 112 --seeds 1 --methods normal_nn --data " +
                                shared("data/products") + " --out " + path("none") +
                                " --submission " + path("none2"));
  EXPECT_EQ(nothing.exit_code, 3);
  EXPECT_TRUE(contains(nothing.err, "nothing to submit")) << nothing.err;
}

}  // namespace
}  // namespace nagl
