#include <sys/stat.h>

#include <nlohmann/json.hpp>
#include <opencv2/core.hpp>
#include <opencv2/imgcodecs.hpp>
#include <opencv2/imgproc.hpp>

#include "command.h"
#include "nagl/image/image.h"
#include "spots.h"

namespace nagl {
namespace {

using testing::contains;
using testing::lines;
using testing::Outcome;
using testing::part;
using testing::run_nagl;
using testing::slurp;
using testing::spill;
using testing::spot_mask;
using testing::TemporaryFolder;

/// A category in MVTec layout, scored at a small size.
class ScoreTest : public ::testing::Test {
 protected:
  void SetUp() override {
    NAGL_NEEDS_BACKBONE(weights);
    for (std::uint64_t i = 0; i < 2; ++i) {
      write_png(folder / ("cat/train/good/" + std::to_string(i) + ".png"), part(i, false));
      write_png(folder / ("cat/test/good/" + std::to_string(i) + ".png"), part(10 + i, false));
      write_png(folder / ("cat/test/spot/" + std::to_string(i) + ".png"), part(20 + i, true));
      write_png(folder / ("cat/ground_truth/spot/" + std::to_string(i) + "_mask.png"), spot_mask());
    }
  }

  std::string path(const std::string& name) const { return (folder / name).string(); }
  Outcome score(const std::string& arguments, const std::string& before = "") const {
    return run_nagl("score --image-size 112 --normal " + path("cat/train/good") + " " + arguments,
                    before);
  }
  TemporaryFolder folder;
};

TEST_F(ScoreTest, WritesScoresMapsAndOverlays) {
  const auto outcome = score("--json --out " + path("out") + " " + path("cat/test"));
  ASSERT_EQ(outcome.exit_code, 0) << outcome.err;
  const auto records = lines(outcome.out);
  ASSERT_EQ(records.size(), 4U);
  EXPECT_EQ(slurp(folder / "out/results.jsonl"), outcome.out);
  for (const auto& record : records) {
    const std::string name = record["path"];
    const double image_score = record["image_score"];
    EXPECT_GT(image_score, 0);
    EXPECT_LT(image_score, 1);
    EXPECT_EQ(record["label"], contains(name, "spot") ? "spot" : "good");
    const cv::Mat map = cv::imread(record["map"].get<std::string>(), cv::IMREAD_UNCHANGED);
    EXPECT_EQ(map.type(), CV_16U);
    EXPECT_EQ(map.size(), cv::Size(120, 90));
    double peak = 0;
    cv::minMaxLoc(map, nullptr, &peak);
    EXPECT_NEAR(peak / 65535, record["peak"]["score"].get<double>(), 1e-4);
    EXPECT_FALSE(cv::imread(record["overlay"].get<std::string>()).empty());
    if (contains(name, "spot")) {
      EXPECT_NEAR(record["peak"]["x"].get<int>(), 80, 20);
      EXPECT_NEAR(record["peak"]["y"].get<int>(), 30, 20);
    }
  }
  EXPECT_TRUE(std::filesystem::exists(folder / "out/maps/spot/1.png"));
  EXPECT_TRUE(std::filesystem::exists(folder / "out/overlays/good/0.png"));
  const auto run = nlohmann::json::parse(slurp(folder / "out/run.json"));
  EXPECT_EQ(run["summary"]["image_auroc"], 1.0);
  EXPECT_EQ(run["normal"].size(), 2U);
  EXPECT_GT(run["colour_scale"]["high"], run["colour_scale"]["low"]);
  EXPECT_TRUE(run["backbone"].contains("source_sha256"));
  EXPECT_TRUE(contains(slurp(folder / "out/results.csv"), "path,image_score,label"));
}

TEST_F(ScoreTest, PrintsATableWithTheAuroc) {
  const auto outcome = score(path("cat/test"));
  EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
  EXPECT_TRUE(contains(outcome.out, "spot/0.png")) << outcome.out;
  EXPECT_TRUE(contains(outcome.out, "image AUROC 100.00 %")) << outcome.out;
}

TEST_F(ScoreTest, NumpyMapsAndPerPictureScale) {
  const auto outcome = score("--map-format npy --scale auto --out " + path("out") + " " +
                             path("cat/test/good/0.png"));
  EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
  EXPECT_TRUE(slurp(folder / "out/maps/0.npy").starts_with("\x93NUMPY"));
  EXPECT_EQ(nlohmann::json::parse(slurp(folder / "out/run.json"))["colour_scale"], "auto");
}

TEST_F(ScoreTest, MethodsWithAbnormalReferences) {
  for (const std::string method : {"abnormal_nn", "both_nn"}) {
    const std::string references =
        "--method " + method + " --abnormal " + path("cat/test/spot/0.png");
    const auto outcome =
        score(references + " --masks " + path("cat/ground_truth/spot") + " " + path("cat/test"));
    EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
    EXPECT_TRUE(contains(outcome.out, "image AUROC 100.00 %")) << outcome.out;
    const auto derived = score(references + " " + path("cat/test"));  // no masks
    EXPECT_EQ(derived.exit_code, 0) << derived.err;
    EXPECT_TRUE(contains(derived.err, "derived")) << derived.err;
    EXPECT_TRUE(contains(derived.out, "image AUROC 100.00 %")) << derived.out;
    EXPECT_EQ(score("--method " + method + " " + path("cat/test")).exit_code, 2);  // no defects
    EXPECT_EQ(score("--method " + method + " --masks " + path("cat/ground_truth") + " " +
                    path("cat/test"))
                  .exit_code,
              2);
  }
  const auto unmasked = score("--method both_nn --abnormal " + path("cat/test/good/1.png") +
                              " --masks " + path("cat/test/spot/0.png") + " " + path("cat/test"));
  EXPECT_EQ(unmasked.exit_code, 3);
  EXPECT_TRUE(contains(unmasked.err, "good/1.png")) << unmasked.err;
}

TEST_F(ScoreTest, BadQueriesAreSkippedAndTheExitCodeSaysSo) {
  spill(folder / "cat/test/good/text.png", "not a picture");
  spill(folder / "cat/test/good/empty.png", "");
  const auto outcome = score("--json --batch-size 3 --out " + path("out") + " " + path("cat/test"));
  EXPECT_EQ(outcome.exit_code, 3);
  EXPECT_TRUE(contains(outcome.err, "good/text.png")) << outcome.err;
  EXPECT_TRUE(contains(outcome.err, "good/empty.png")) << outcome.err;
  std::size_t scored = 0, skipped = 0;
  for (const auto& record : lines(outcome.out)) {
    (record.contains("error") ? skipped : scored) += 1;
  }
  EXPECT_EQ(scored, 4U);
  EXPECT_EQ(skipped, 2U);
}

TEST_F(ScoreTest, BadReferencesStopTheRun) {
  spill(folder / "cat/train/good/broken.png", "not a picture");
  const auto outcome = score("--out " + path("out") + " " + path("cat/test"));
  EXPECT_EQ(outcome.exit_code, 3);
  EXPECT_TRUE(contains(outcome.err, "broken.png")) << outcome.err;
  EXPECT_FALSE(std::filesystem::exists(folder / "out"));
}

TEST_F(ScoreTest, NothingIsReplacedUnasked) {
  const std::string arguments = "--out " + path("out") + " " + path("cat/test/good/0.png");
  EXPECT_EQ(score(arguments).exit_code, 0);
  const auto again = score(arguments);
  EXPECT_EQ(again.exit_code, 2);
  EXPECT_TRUE(contains(again.err, "--overwrite")) << again.err;
  EXPECT_EQ(score("--overwrite " + arguments).exit_code, 0);
}

TEST_F(ScoreTest, QueriesThatShareANameGetPlacesByTheirPaths) {
  write_png(folder / "a/x.png", part(1, false));
  write_png(folder / "b/x.png", part(2, false));
  const auto outcome =
      score("--out " + path("out") + " " + path("a/x.png") + " " + path("b/x.png"));
  EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
  for (const char* name : {"a/x.png", "b/x.png"}) {
    const auto place = std::filesystem::path("out/maps") / (folder / name).relative_path();
    EXPECT_TRUE(std::filesystem::exists(folder / place)) << place;
  }
  // Two that differ by their extensions alone cannot both have the map.
  write_png(folder / "c/x.png", part(1, false));
  write_jpeg(folder / "c/x.jpg", part(1, false));
  const auto twice = score("--out " + path("other") + " " + path("c"));
  EXPECT_EQ(twice.exit_code, 2);
  EXPECT_TRUE(contains(twice.err, "c/x.png") && contains(twice.err, "c/x.jpg")) << twice.err;
  EXPECT_FALSE(std::filesystem::exists(folder / "other"));
  EXPECT_EQ(score(path("a/x.png") + " " + path("b/x.png")).exit_code, 0);     // nothing to write
  EXPECT_EQ(score("--out " + path("a/out") + " " + path("a")).exit_code, 2);  // inside the queries
}

TEST_F(ScoreTest, InputsAreNeverReplacedNorMixedWithOutputs) {
  write_png(folder / "res/maps/a.png", part(4, false));
  const std::string before = slurp(folder / "res/maps/a.png");
  const auto outcome = score("--overwrite --out " + path("res") + " " + path("res/maps/a.png"));
  EXPECT_EQ(outcome.exit_code, 2) << outcome.err;
  EXPECT_TRUE(contains(outcome.err, "replace an input")) << outcome.err;
  EXPECT_EQ(slurp(folder / "res/maps/a.png"), before);
  const auto inside = score("--out " + path("cat/train/good/out") + " " + path("cat/test"));
  EXPECT_EQ(inside.exit_code, 2);
  EXPECT_TRUE(contains(inside.err, "lies inside")) << inside.err;
}

TEST_F(ScoreTest, StrangeNamesAreScored) {
  const std::string odd[] = {"[br]/x.png", "a b,c\"d.png", "new\nline.png", "\xFF\xFE.png",
                             std::string(240, 'l') + ".png"};
  for (const auto& name : odd) write_png(folder / "odd" / name, part(5, false));
  write_png(folder / "odd/br/y.png", part(6, true));
  const auto all = score("--json --out " + path("out") + " " + path("odd"));
  EXPECT_EQ(all.exit_code, 0) << all.err;
  EXPECT_EQ(lines(all.out).size(), 6U);
  EXPECT_TRUE(std::filesystem::exists(folder / "out/maps" / odd[3]));
  const auto one = score("--json '" + path("odd/[br]") + "'");
  EXPECT_EQ(one.exit_code, 0) << one.err;
  ASSERT_EQ(lines(one.out).size(), 1U);
  EXPECT_TRUE(contains(one.out, "[br]/x.png")) << one.out;
  // CLI11 takes a whole argument in brackets for a list unless told otherwise.
  const auto bracket =
      run_nagl("score --image-size 112 --normal " + path("cat/train/good") + " --json '[br]'",
               "cd " + path("odd") + " && ");
  EXPECT_EQ(bracket.exit_code, 0) << bracket.err;
  EXPECT_TRUE(contains(bracket.out, "[br]/x.png")) << bracket.out;
}

TEST_F(ScoreTest, WhatIsNoFileOrNotReadableIsSkipped) {
  ASSERT_EQ(::mkfifo((folder / "cat/test/good/fifo.png").c_str(), 0600), 0);
  std::filesystem::create_symlink("loop.png", folder / "cat/test/good/loop.png");
  const auto outcome = score(path("cat/test"));
  EXPECT_EQ(outcome.exit_code, 3);
  EXPECT_TRUE(contains(outcome.err, "fifo.png")) << outcome.err;
  EXPECT_TRUE(contains(outcome.err, "loop.png")) << outcome.err;
  EXPECT_TRUE(contains(outcome.out, "4 pictures scored")) << outcome.out;
}

TEST_F(ScoreTest, ADeadStandardOutputIsAnError) {
  EXPECT_EQ(score("--json " + path("cat/test") + " >/dev/full").exit_code, 1);
  EXPECT_EQ(run_nagl("--version >/dev/full").exit_code, 1);
}

TEST_F(ScoreTest, RegionsOfInterest) {
  cv::Mat roi = cv::Mat::zeros(90, 120, CV_8U);
  roi.colRange(0, 50).setTo(255);  // the spots are right of it
  write_png(folder / "roi.png", roi);
  const auto outcome = score("--json --roi " + path("roi.png") + " --out " + path("out") + " " +
                             path("cat/test/spot/0.png"));
  ASSERT_EQ(outcome.exit_code, 0) << outcome.err;
  EXPECT_LT(lines(outcome.out)[0]["peak"]["x"].get<int>(), 50);
  write_png(folder / "rois/0_mask.png", roi);
  EXPECT_EQ(score("--roi " + path("rois") + " " + path("cat/test/spot/0.png")).exit_code, 0);
  const auto missing = score("--roi " + path("rois") + " " + path("cat/test/spot"));
  EXPECT_EQ(missing.exit_code, 3);
  EXPECT_TRUE(contains(missing.err, "spot/1.png")) << missing.err;
}

TEST_F(ScoreTest, TwelveBitPicturesGiveAWarning) {
  cv::Mat dark(90, 120, CV_16U, cv::Scalar(2000));
  write_png(folder / "dark.png", dark);
  const auto outcome = score(path("dark.png"));
  EXPECT_EQ(outcome.exit_code, 0);
  EXPECT_TRUE(contains(outcome.err, "--bit-depth 12")) << outcome.err;
  EXPECT_FALSE(contains(score("--bit-depth 12 " + path("dark.png")).err, "--bit-depth"));
}

TEST_F(ScoreTest, WrongOptionsAreExplained) {
  const auto refused = [&](const std::string& arguments, int code, const std::string& because) {
    const auto outcome = run_nagl("score --normal " + path("cat/train/good") + " " + arguments +
                                  " " + path("cat/test"));
    EXPECT_EQ(outcome.exit_code, code) << arguments << ": " << outcome.err;
    EXPECT_TRUE(contains(outcome.err, because)) << arguments << ": " << outcome.err;
  };
  refused("--method best", 2, "normal_nn");
  refused("--image-size 100", 2, "multiples");
  refused("--image-size 112x", 2, "HxW");
  refused("--image-size -5", 2, "HxW");
  refused("--layer 99", 2, "layer 99");
  refused("--precision half", 2, "float16");
  refused("--device tpu", 2, "cuda");
  refused("--device cuda:77", 5, "--device cpu");
  refused("--bit-depth 20", 2, "bit depth");
  refused("--normal-shots 9", 3, "9 references");
  refused("--method normal_nn --abnormal " + path("cat/test/spot"), 2, "does not use --abnormal");
  refused("--roi " + path("absent.png"), 3, "absent.png");
  spill(folder / "file", "x");
  refused("--out " + path("file"), 3, "cannot make the folder");
  refused("--threads 0", 2, "--threads");
  refused("--unknown", 2, "--unknown");
  refused("--backbone " + path("absent.safetensors"), 4, "absent.safetensors");
  spill(folder / "text.safetensors", "hello");
  refused("--backbone " + path("text.safetensors"), 4, "text.safetensors");
  EXPECT_EQ(run_nagl("score").exit_code, 2);
  EXPECT_EQ(run_nagl("").exit_code, 2);
  EXPECT_EQ(score(path("nowhere")).exit_code, 3);
}

TEST_F(ScoreTest, AFullDiskIsOneClearLineAndLeavesNoHalfFiles) {
  // Every file may grow to 4 KB at most: overlays are larger.
  const auto outcome = score("--out " + path("out") + " " + path("cat/test"), "ulimit -f 4; ");
  EXPECT_EQ(outcome.exit_code, 3) << outcome.err;
  EXPECT_TRUE(contains(outcome.err, "cannot write")) << outcome.err;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(folder / "out")) {
    EXPECT_NE(entry.path().extension(), ".tmp") << entry.path();
  }
}

TEST_F(ScoreTest, MemoryDoesNotGrowWithTheNumberOfPictures) {
  cv::Mat large;
  cv::resize(part(3, true), large, cv::Size(1200, 900));
  for (int i = 0; i < 100; ++i) {
    const std::string name = "many/" + std::to_string(i) + ".png";
    if (i == 0) {
      write_png(folder / name, large);
    } else {
      std::filesystem::create_hard_link(folder / "many/0.png", folder / name);
    }
  }
  std::filesystem::create_directory(folder / "few");
  for (int i = 0; i < 10; ++i) {
    const std::string name = std::to_string(i) + ".png";
    std::filesystem::create_hard_link(folder / "many" / name, folder / "few" / name);
  }
  const auto few = score("--out " + path("out_few") + " " + path("few"));
  const auto many = score("--out " + path("out_many") + " " + path("many"));
  ASSERT_EQ(few.exit_code, 0) << few.err;
  ASSERT_EQ(many.exit_code, 0) << many.err;
  std::printf("largest resident set: 10 pictures %ld MiB, 100 pictures %ld MiB\n",
              few.peak_kib / 1024, many.peak_kib / 1024);
  // 90 pictures more of 3.2 MB each, with maps of 4.3 MB, would be 650 MiB.
  EXPECT_LT(many.peak_kib - few.peak_kib, 40 * 1024);
}

TEST_F(ScoreTest, TiledPicturesTakeMemoryForFewOfThemWhateverTheBatch) {
  cv::Mat large;
  cv::resize(part(3, true), large, cv::Size(3200, 2400));
  write_png(folder / "large/0.png", large);
  for (int i = 1; i < 8; ++i) {
    std::filesystem::create_hard_link(folder / "large/0.png",
                                      folder / ("large/" + std::to_string(i) + ".png"));
  }
  // 24 tiles a picture, so that a batch seldom ends with one.
  const std::string arguments = "--tile 600 --coreset 0.1 --normal-shots 1 ";
  const auto alone = score(arguments + "--batch-size 1 " + path("large"));
  const auto batches = score(arguments + "--batch-size 16 " + path("large"));
  ASSERT_EQ(alone.exit_code, 0) << alone.err;
  ASSERT_EQ(batches.exit_code, 0) << batches.err;
  std::printf("largest resident set: batch 1 %ld MiB, batch 16 %ld MiB\n", alone.peak_kib / 1024,
              batches.peak_kib / 1024);
  // Eight maps of 31 MB and their pictures of 23 MB would be 430 MiB.
  EXPECT_LT(batches.peak_kib - alone.peak_kib, 100 * 1024);
}

TEST_F(ScoreTest, AnInterruptionKeepsWhatWasScored) {
  for (int i = 0; i < 200; ++i)
    write_png(folder / ("many/" + std::to_string(i) + ".png"), part(9, false));
  bool sent = false;
  const auto outcome = run_nagl("score --image-size 112 --json --normal " + path("cat/train/good") +
                                    " --out " + path("out") + " " + path("many"),
                                "", [&](pid_t child, const std::string& printed) {
                                  if (std::count(printed.begin(), printed.end(), '\n') < 2)
                                    return false;
                                  ::kill(child, SIGINT);
                                  return sent = true;
                                });
  ASSERT_TRUE(sent);
  EXPECT_EQ(outcome.exit_code, 1) << outcome.err;
  EXPECT_TRUE(contains(outcome.err, "interrupted")) << outcome.err;
  const auto saved = lines(slurp(folder / "out/results.jsonl"));
  EXPECT_GE(saved.size(), 2U);
  EXPECT_LT(saved.size(), 200U);
  EXPECT_EQ(slurp(folder / "out/results.jsonl"), outcome.out);
}

TEST(Nagl, TellsItsVersionsAndHelps) {
  const auto version = run_nagl("--version");
  EXPECT_EQ(version.exit_code, 0);
  for (const char* part : {"nagl ", "Torch 2.", "OpenCV 4.", "device "}) {
    EXPECT_TRUE(contains(version.out, part)) << version.out;
  }
  const auto help = run_nagl("score --help");
  EXPECT_EQ(help.exit_code, 0);
  for (const char* part : {"--normal", "--roi", "--image-size", "Output"}) {
    EXPECT_TRUE(contains(help.out, part)) << part;
  }
}

TEST(Nagl, SynthMakesWhatScoreTakes) {
  const TemporaryFolder folder;
  const std::string out = (folder / "data").string();
  const auto made =
      run_nagl("synth --size 96 --train-good 2 --test-good 1 --test-defect 1 --out " + out);
  EXPECT_EQ(made.exit_code, 0) << made.err;
  EXPECT_TRUE(contains(made.out, "surfaces")) << made.out;
  EXPECT_EQ(run_nagl("synth --size 96 --out " + out).exit_code, 2);  // not empty
  EXPECT_EQ(run_nagl("synth --size 1 --out " + out + "2").exit_code, 2);
}

}  // namespace
}  // namespace nagl
