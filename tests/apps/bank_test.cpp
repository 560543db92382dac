#include <sys/stat.h>

#include <nlohmann/json.hpp>
#include <opencv2/core.hpp>
#include <set>

#include "command.h"
#include "nagl/image/image.h"
#include "nagl/image/mask.h"
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
namespace fs = std::filesystem;

/// `nagl enroll`, `calibrate` and `score --bank` on noise with spots.
class BankTest : public ::testing::Test {
 protected:
  void SetUp() override {
    NAGL_NEEDS_BACKBONE(weights);
    for (std::uint64_t i = 0; i < 4; ++i) {
      write_png(folder / ("good/" + std::to_string(i) + ".png"), part(i, false));
    }
    for (std::uint64_t i = 0; i < 2; ++i) {
      write_png(folder / ("new/good" + std::to_string(i) + ".png"), part(10 + i, false));
      write_png(folder / ("new/spot" + std::to_string(i) + ".png"), part(20 + i, true));
      write_png(folder / ("bad/" + std::to_string(i) + ".png"), part(30 + i, true));
      write_png(folder / ("masks/" + std::to_string(i) + "_mask.png"), spot_mask());
    }
  }

  std::string path(const std::string& name) const { return (folder / name).string(); }
  std::string bank() const { return path("bank.safetensors"); }
  Outcome enroll(const std::string& arguments) const {
    return run_nagl("enroll --image-size 112 --out " + bank() + " " + arguments);
  }
  void calibrated_bank() const {
    ASSERT_EQ(enroll("--normal " + path("good")).exit_code, 0);
    ASSERT_EQ(run_nagl("calibrate --bank " + bank()).exit_code, 0);
  }

  TemporaryFolder folder;
};

TEST_F(BankTest, GivesNumberForNumberWhatFoldersGive) {
  const std::string with_defects =
      "--method both_nn --abnormal " + path("bad") + " --masks " + path("masks");
  int run = 0;
  for (const std::string& options :
       {std::string(), with_defects, std::string("--tile 60 --augment-references rotate"),
        std::string("--coreset 0.2")}) {
    SCOPED_TRACE(options);
    const std::string from_folders = path("f" + std::to_string(run)),
                      from_bank = path("b" + std::to_string(run++));
    const std::string references = "--normal " + path("good") + " " + options;
    const auto made = enroll("--overwrite " + references);
    ASSERT_EQ(made.exit_code, 0) << made.err;
    EXPECT_TRUE(contains(made.out, "4 normal pictures")) << made.out;
    const auto expected = run_nagl("score --image-size 112 --map-format npy " + references +
                                   " --out " + from_folders + " " + path("new"));
    ASSERT_EQ(expected.exit_code, 0) << expected.err;
    const auto found = run_nagl("score --map-format npy --bank " + bank() + " --out " + from_bank +
                                " " + path("new"));
    ASSERT_EQ(found.exit_code, 0) << found.err;
    for (const auto& entry : fs::recursive_directory_iterator(from_folders)) {
      const fs::path relative = entry.path().lexically_relative(from_folders);
      if (!entry.is_regular_file() || relative.extension() == ".json" ||
          relative.extension() == ".html") {
        continue;
      }
      std::string text = slurp(fs::path(from_bank) / relative);
      for (auto at = text.find(from_bank); at != std::string::npos; at = text.find(from_bank)) {
        text.replace(at, from_bank.size(), from_folders);
      }
      EXPECT_EQ(slurp(entry.path()), text) << relative;
    }
  }
}

TEST_F(BankTest, TheDefaultMethodMakesTheMostOfWhatThereIs) {
  const auto good = enroll("--normal " + path("good"));
  ASSERT_EQ(good.exit_code, 0) << good.err;
  EXPECT_TRUE(contains(good.err, "method auto: normal_nn")) << good.err;
  EXPECT_TRUE(contains(good.err, "4 angles")) << good.err;
  EXPECT_TRUE(contains(good.out, "method normal_nn")) << good.out;
  const std::string defects = " --abnormal " + path("bad") + " --masks " + path("masks");
  const auto added = enroll("--add" + defects);
  ASSERT_EQ(added.exit_code, 0) << added.err;
  EXPECT_TRUE(contains(added.err, "discriminant from now on")) << added.err;
  ASSERT_EQ(run_nagl("score --bank " + bank() + " --out " + path("by_bank") + " " + path("new"))
                .exit_code,
            0);
  const auto run = nlohmann::json::parse(slurp(folder / "by_bank/run.json"));
  EXPECT_EQ(run["method"], "auto");
  EXPECT_EQ(run["scored_by"], "discriminant");
  // The same as by folders, and as named.
  const auto expected = run_nagl("score --json --image-size 112 --normal " + path("good") +
                                 defects + " " + path("new"));
  const auto found =
      run_nagl("score --json --method discriminant --bank " + bank() + " " + path("new"));
  EXPECT_EQ(found.out, expected.out) << found.err << expected.err;
  EXPECT_TRUE(contains(expected.err, "method auto: discriminant, since 2 pictures"))
      << expected.err;
  for (const auto& line : lines(expected.out)) {
    const double score = line["image_score"];
    EXPECT_EQ(contains(line["path"], "spot"), score > 0.6) << line;
    EXPECT_LT(score, 1);
  }
  // Thresholds are shown as scores are, and verdicts agree with them.
  const auto calibrated = run_nagl("calibrate --json --bank " + bank());
  ASSERT_EQ(calibrated.exit_code, 0) << calibrated.err;
  const double threshold = nlohmann::json::parse(calibrated.out)["image_threshold"];
  for (const auto& line :
       lines(run_nagl("score --json --bank " + bank() + " " + path("new")).out)) {
    EXPECT_EQ(line["verdict"] == "anomalous", line["image_score"].get<double>() > threshold);
  }
  // A bank of another method does not hold what this one needs.
  ASSERT_EQ(enroll("--overwrite --method normal_nn --normal " + path("good")).exit_code, 0);
  const auto refused = run_nagl("score --method discriminant --bank " + bank() + " " + path("new"));
  EXPECT_EQ(refused.exit_code, 4);
  EXPECT_TRUE(contains(refused.err, "enroll again")) << refused.err;
  EXPECT_EQ(enroll("--overwrite --abnormal-weight -1 --normal " + path("good")).exit_code, 2);
  EXPECT_EQ(enroll("--overwrite --top-share 0 --normal " + path("good")).exit_code, 2);
}

TEST_F(BankTest, AddedPicturesCountAndTheOthersAreNotRead) {
  ASSERT_EQ(enroll("--normal " + path("good") + " --normal-shots 2").exit_code, 0);
  fs::rename(folder / "good/0.png", folder / "gone.png");
  const auto added = enroll("--add --normal " + path("good"));
  ASSERT_EQ(added.exit_code, 0) << added.err;
  EXPECT_TRUE(contains(added.err, "1 of the pictures are in the bank already")) << added.err;
  EXPECT_TRUE(contains(added.out, "4 normal pictures")) << added.out;
  fs::rename(folder / "gone.png", folder / "good/0.png");
  const auto found = run_nagl("score --json --bank " + bank() + " " + path("new"));
  const auto expected =
      run_nagl("score --json --image-size 112 --normal " + path("good") + " " + path("new"));
  EXPECT_EQ(found.out, expected.out);
  // Nothing new leaves the bank as it is, its calibration too.
  ASSERT_EQ(run_nagl("calibrate --bank " + bank()).exit_code, 0);
  EXPECT_FALSE(contains(enroll("--add --normal " + path("good")).err, "void"));
  EXPECT_EQ(
      run_nagl("score --fail-on-anomaly --bank " + bank() + " " + path("new/good0.png")).exit_code,
      0);
  EXPECT_TRUE(contains(enroll("--add --normal " + path("new/good0.png")).err, "void"));
  EXPECT_EQ(enroll("--add").exit_code, 2);
  EXPECT_EQ(enroll("--add --overwrite --normal " + path("good")).exit_code, 2);
  const auto another = enroll("--add --tile 60 --normal " + path("new/good0.png"));
  EXPECT_EQ(another.exit_code, 4);
  EXPECT_TRUE(contains(another.err, "--tile 0")) << another.err;
}

TEST_F(BankTest, MismatchesAreModelErrorsAndNothingIsReplacedUnasked) {
  ASSERT_EQ(enroll("--normal " + path("good")).exit_code, 0);
  const std::string before = slurp(bank());
  const auto again = enroll("--normal " + path("good"));
  EXPECT_EQ(again.exit_code, 2);
  EXPECT_TRUE(contains(again.err, "--add")) << again.err;
  const auto refused = [&](const std::string& arguments, int code, const std::string& because) {
    const auto outcome = run_nagl("score --bank " + bank() + " " + arguments + " " + path("new"));
    EXPECT_EQ(outcome.exit_code, code) << arguments << ": " << outcome.err;
    EXPECT_TRUE(contains(outcome.err, because)) << arguments << ": " << outcome.err;
    EXPECT_EQ(std::count(outcome.err.begin(), outcome.err.end(), '\n'), 1) << outcome.err;
  };
  refused("--layer 3", 4, "--layer 7");
  refused("--image-size 56", 4, "112x112");
  refused("--method both_nn", 4, "--method auto");
  refused("--bit-depth 12", 4, "--bit-depth 16");
  refused("--tile 60", 4, "--tile 0");
  refused("--coreset 0.5", 4, "--coreset 1");
  refused("--normal " + path("good"), 2, "nagl enroll --add");
  refused("--fail-on-anomaly", 2, "nagl calibrate");
  refused("--sorted --out " + path("out"), 2, "nagl calibrate");
  spill(folder / "half.safetensors", before.substr(0, before.size() / 2));
  const auto half = run_nagl("score --bank " + path("half.safetensors") + " " + path("new"));
  EXPECT_EQ(half.exit_code, 4);
  EXPECT_TRUE(contains(half.err, "half.safetensors") && contains(half.err, "truncated"))
      << half.err;
  EXPECT_EQ(run_nagl("calibrate --bank " + path("half.safetensors")).exit_code, 4);
  EXPECT_EQ(run_nagl("score --bank " + path("absent") + " " + path("new")).exit_code, 4);
  EXPECT_EQ(slurp(bank()), before);
  // A folder that cannot be written: the bank that is there stays.
  const auto full = run_nagl(
      "enroll --overwrite --image-size 112 --out " + bank() + " --normal " + path("good/0.png"),
      "ulimit -f 4; ");
  EXPECT_EQ(full.exit_code, 3) << full.err;
  EXPECT_EQ(slurp(bank()), before);
}

TEST_F(BankTest, AnotherPrecisionThanTheBanksIsSaid) {
  ASSERT_EQ(enroll("--normal " + path("good")).exit_code, 0);
  const std::string score = "score --bank " + bank() + " " + path("new/good0.png");
  const std::string said = "was made in float32 and is used in bfloat16";
  const auto same = run_nagl(score), other = run_nagl(score + " --precision bfloat16");
  ASSERT_EQ(same.exit_code, 0) << same.err;
  ASSERT_EQ(other.exit_code, 0) << other.err;
  EXPECT_FALSE(contains(same.err, "was made in")) << same.err;
  EXPECT_TRUE(contains(other.err, said)) << other.err;
  EXPECT_EQ(other.err.find(said), other.err.rfind(said)) << other.err;  // once
}

TEST_F(BankTest, CalibrationGivesVerdictsRegionsAndExitCodes) {
  calibrated_bank();
  const std::string score = "score --bank " + bank() + " --fail-on-anomaly ";
  const auto all = run_nagl(score + "--json --sorted --out " + path("out") + " " + path("new"));
  EXPECT_EQ(all.exit_code, 10) << all.err;
  for (const auto& record : lines(all.out)) {
    const bool spot = contains(record["path"], "spot");
    EXPECT_EQ(record["verdict"], spot ? "anomalous" : "normal") << record;
    if (!spot) continue;
    ASSERT_FALSE(record["regions"].empty());
    const auto& region = record["regions"][0];
    EXPECT_NEAR(region["peak"]["x"].get<int>(), 80, 16);
    EXPECT_NEAR(region["peak"]["y"].get<int>(), 30, 16);
    EXPECT_GT(region["area"].get<int>(), 100);
    EXPECT_GE(region["peak_score"], region["mean_score"]);
    EXPECT_GT(region["box"]["width"].get<int>(), 10);
  }
  EXPECT_EQ(slurp(folder / "out/sorted/anomalous/spot1.png"), slurp(folder / "new/spot1.png"));
  EXPECT_EQ(slurp(folder / "out/sorted/normal/good0.png"), slurp(folder / "new/good0.png"));
  EXPECT_FALSE(fs::exists(folder / "out/sorted/normal/spot1.png"));
  const std::string csv = slurp(folder / "out/results.csv");
  EXPECT_TRUE(contains(csv, "path,image_score,label,verdict,regions")) << csv;
  EXPECT_TRUE(contains(slurp(folder / "out/regions.csv"), "spot0.png,"));
  EXPECT_TRUE(contains(slurp(folder / "out/report.html"), "data:image/jpeg;base64"));
  const auto run = nlohmann::json::parse(slurp(folder / "out/run.json"));
  EXPECT_EQ(run["summary"]["called_anomalous"], 2);
  EXPECT_GT(run["calibration"]["image_threshold"], 0);

  EXPECT_EQ(run_nagl(score + path("new/good0.png")).exit_code, 0);
  const auto table = run_nagl("score --bank " + bank() + " " + path("new"));
  EXPECT_EQ(table.exit_code, 0) << table.err;
  EXPECT_TRUE(contains(table.out, "anomalous") && contains(table.out, "2 anomalous")) << table.out;

  const auto best =
      run_nagl("calibrate --json --best-f1 --bank " + bank() + " --abnormal " + path("bad"));
  ASSERT_EQ(best.exit_code, 0) << best.err;
  const auto calibration = nlohmann::json::parse(best.out);
  EXPECT_EQ(calibration["defects"], 2);
  EXPECT_EQ(calibration["misses"], 0);
  EXPECT_EQ(calibration["options"]["rule"], "best_f1");
  EXPECT_EQ(run_nagl("calibrate --best-f1 --bank " + bank()).exit_code, 2);
  EXPECT_EQ(run_nagl("calibrate --false-alarm-rate 2 --bank " + bank()).exit_code, 2);
  // What the bank holds of its pictures is enough; of a thinned one they are read again.
  fs::rename(folder / "good", folder / "elsewhere");
  EXPECT_EQ(run_nagl("calibrate --bank " + bank()).exit_code, 0);
  fs::rename(folder / "elsewhere", folder / "good");
  ASSERT_EQ(enroll("--overwrite --coreset 0.5 --normal " + path("good")).exit_code, 0);
  const std::string second = slurp(folder / "good/2.png");
  write_png(folder / "good/2.png", part(77, false));
  const auto changed = run_nagl("calibrate --bank " + bank());
  EXPECT_EQ(changed.exit_code, 3);
  EXPECT_TRUE(contains(changed.err, "has changed since")) << changed.err;
  spill(folder / "good/2.png", second);
  fs::remove(folder / "good/2.png");
  const auto gone = run_nagl("calibrate --bank " + bank());
  EXPECT_EQ(gone.exit_code, 3);
  EXPECT_TRUE(contains(gone.err, "good/2.png")) << gone.err;
}

TEST_F(BankTest, DefectsPastedOntoGoodPicturesTellHowManyAreFound) {
  ASSERT_EQ(enroll("--normal " + path("good") + " --abnormal " + path("bad") + " --masks " +
                   path("masks"))
                .exit_code,
            0);
  const auto calibrated = run_nagl("calibrate --bank " + bank());
  ASSERT_EQ(calibrated.exit_code, 0) << calibrated.err;
  // Two red spots, each onto four good pictures, and plain to see.
  EXPECT_TRUE(contains(calibrated.out, "pasted onto good pictures 8 times")) << calibrated.out;
  EXPECT_TRUE(contains(calibrated.out, "finds 8, so of defects like these about 10 in 10 would"))
      << calibrated.out;
  // Of pictures that are not there any more nothing is said.
  fs::remove_all(path("bad"));
  const auto without = run_nagl("calibrate --json --bank " + bank());
  EXPECT_EQ(nlohmann::json::parse(without.out)["pasted"], 0) << without.out;
}

TEST_F(BankTest, ThresholdsOfOnesOwnAndAThirdVerdict) {
  const std::string references = "--image-size 112 --normal " + path("good") + " ";
  const auto scored = lines(run_nagl("score --json " + references + path("new")).out);
  ASSERT_EQ(scored.size(), 4U);
  const double good = std::max(scored[0]["image_score"], scored[1]["image_score"]);
  const double bad = std::min(scored[2]["image_score"], scored[3]["image_score"]);
  ASSERT_LT(good, bad);
  const std::string between = std::to_string((good + bad) / 2);
  const auto judged = run_nagl("score --json --fail-on-anomaly --threshold " + between +
                               " --masks-out " + path("found") + " " + references + path("new"));
  EXPECT_EQ(judged.exit_code, 10) << judged.err;
  for (const auto& line : lines(judged.out)) {
    const bool spot = contains(line["path"], "spot");
    EXPECT_EQ(line["verdict"], spot ? "anomalous" : "normal") << line;
    const cv::Mat mask = read_image(line["region_mask"].get<std::string>()).rgb;
    EXPECT_EQ(mask.size(), cv::Size(120, 90));
    cv::Mat marked;
    cv::extractChannel(mask > 0, marked, 0);
    EXPECT_EQ(cv::countNonZero(marked) > 0, spot);
    EXPECT_EQ(marked.at<std::uint8_t>(30, 80) > 0, spot);
    double area = 0;
    for (const auto& region : line["regions"]) area += region["area"].get<double>();
    EXPECT_EQ(cv::countNonZero(marked), area);
  }
  EXPECT_TRUE(fs::exists(folder / "found/spot0.png"));
  const auto again = run_nagl("score --threshold 0.5 --masks-out " + path("found") + " " +
                              references + path("new"));
  EXPECT_EQ(again.exit_code, 2) << again.err;  // it is there already
  EXPECT_TRUE(contains(again.err, "--overwrite")) << again.err;

  // Above every score nothing is anomalous, and what lies above the lower threshold is uncertain.
  const auto unsure = run_nagl("score --sorted --threshold 0.99 --uncertain-threshold " + between +
                               " --out " + path("out") + " " + references + path("new"));
  EXPECT_EQ(unsure.exit_code, 0) << unsure.err;
  EXPECT_TRUE(contains(unsure.out, "0 anomalous, 2 uncertain")) << unsure.out;
  EXPECT_TRUE(fs::exists(folder / "out/sorted/uncertain/spot1.png"));
  EXPECT_TRUE(fs::exists(folder / "out/sorted/normal/good1.png"));
  EXPECT_TRUE(contains(slurp(folder / "out/report.html"), "data-uncertain"));
  const auto run = nlohmann::json::parse(slurp(folder / "out/run.json"));
  EXPECT_EQ(run["thresholds"]["image"], 0.99);
  EXPECT_EQ(run["summary"]["called_uncertain"], 2);

  calibrated_bank();
  const std::string by_bank = "score --bank " + bank() + " --json ";
  std::string verdicts;
  for (const auto& line : lines(run_nagl(by_bank + "--uncertain " + path("new")).out)) {
    verdicts += line["verdict"].get<std::string>() + " ";
  }
  EXPECT_TRUE(contains(verdicts, "anomalous anomalous")) << verdicts;
  for (const auto& line : lines(run_nagl(by_bank + "--min-area 100000 " + path("new")).out)) {
    EXPECT_TRUE(line["regions"].empty());
  }
  const auto refused = [&](const std::string& options, const std::string& said) {
    const auto outcome = run_nagl("score " + options + " " + path("new"));
    EXPECT_EQ(outcome.exit_code, 2) << options;
    EXPECT_TRUE(contains(outcome.err, said)) << options << ": " << outcome.err;
  };
  refused(references + "--map-threshold 0.5", "--map-threshold needs thresholds");
  refused(references + "--uncertain", "--uncertain needs thresholds");
  refused(references + "--masks-out " + path("m"), "--masks-out needs thresholds");
  refused(references + "--threshold 1.5", "from 0 to 1");
  refused(references + "--threshold 0.2 --uncertain-threshold 0.3", "above the threshold");
  refused("--bank " + bank() + " --masks-out " + path("new/m") + " --threshold 0.3", "lies inside");
}

TEST_F(BankTest, LooksWhereItWasToldTo) {
  cv::Mat left = cv::Mat::zeros(90, 120, CV_8U);
  left.colRange(0, 48).setTo(255);  // the spots lie on the right
  write_png(folder / "roi.png", left);
  const auto made = enroll("--roi " + path("roi.png") + " --normal " + path("good"));
  ASSERT_EQ(made.exit_code, 0) << made.err;
  const std::string by_bank = run_nagl("score --json --bank " + bank() + " " + path("new")).out;
  const std::string by_folders = run_nagl("score --json --image-size 112 --roi " + path("roi.png") +
                                          " --normal " + path("good") + " " + path("new"))
                                     .out;
  EXPECT_EQ(by_bank, by_folders);
  for (const auto& line : lines(by_bank)) EXPECT_LT(line["peak"]["x"].get<int>(), 48) << line;
  EXPECT_EQ(run_nagl("calibrate --bank " + bank()).exit_code, 0);
  const auto more = enroll("--add --roi " + path("roi.png") + " --normal " + path("bad"));
  EXPECT_EQ(more.exit_code, 2);
  write_png(folder / "wide.png", cv::Mat(30, 90, CV_8UC3, cv::Scalar::all(9)));
  const auto other = run_nagl("score --bank " + bank() + " " + path("wide.png"));
  EXPECT_EQ(other.exit_code, 3);
  EXPECT_TRUE(contains(other.err, "wide.png") && contains(other.err, "region of interest"))
      << other.err;
  // It is skipped, and the others are scored, one after the other or from a list.
  fs::copy(folder / "wide.png", folder / "new/a_wide.png");
  for (const std::string& queries : {path("new"), std::string("- < " + path("list.txt"))}) {
    spill(path("list.txt"), path("new/a_wide.png") + "\n" + path("new/spot1.png") + "\n");
    const auto mixed = run_nagl("score --json --bank " + bank() + " " + queries);
    EXPECT_EQ(mixed.exit_code, 3) << mixed.err;
    std::size_t skipped = 0, scored = 0;
    for (const auto& line : lines(mixed.out)) {
      skipped += line.contains("error");
      scored += line.contains("image_score");
    }
    EXPECT_EQ(skipped, 1U) << mixed.out;
    EXPECT_GE(scored, 1U) << mixed.out;
  }
}

TEST_F(BankTest, DerivedMasksAreShownAndAnnotationsAreRead) {
  const std::string references =
      "--method both_nn --normal " + path("good") + " --abnormal " + path("bad");
  const auto derived = enroll(references);
  ASSERT_EQ(derived.exit_code, 0) << derived.err;
  EXPECT_TRUE(contains(derived.err, "bank-masks")) << derived.err;
  const cv::Mat mask = read_mask(folder / "bank-masks/1_mask.png").marks;
  EXPECT_EQ(mask.size(), cv::Size(120, 90));
  EXPECT_EQ(mask.at<uchar>(30, 80), 255);
  EXPECT_TRUE(fs::exists(folder / "bank-masks/check/1_check.png"));
  // Approved as they are, they give the same bank.
  const auto found = run_nagl("score --json --bank " + bank() + " " + path("new"));
  const auto given = run_nagl("score --json --image-size 112 " + references + " --masks " +
                              path("bank-masks") + " " + path("new"));
  EXPECT_EQ(given.exit_code, 0) << given.err;
  EXPECT_EQ(found.out, given.out);

  // LabelMe files beside the pictures, and one COCO file.
  for (const std::string i : {"0", "1"}) {
    spill(folder / ("bad/" + i + ".json"),
          R"({"imageWidth": 120, "imageHeight": 90, "shapes": [{"shape_type": "circle",
              "points": [[80, 30], [94, 30]]}]})");
  }
  spill(folder / "coco.json", R"({"images": [
        {"id": 0, "file_name": "0.png", "width": 120, "height": 90},
        {"id": 1, "file_name": "1.png", "width": 120, "height": 90}], "annotations": [
        {"image_id": 0, "bbox": [66, 16, 28, 28]}, {"image_id": 1, "bbox": [66, 16, 28, 28]}]})");
  for (const std::string masks : {"bad", "coco.json"}) {
    const auto marked = enroll("--overwrite " + references + " --masks " + path(masks));
    EXPECT_EQ(marked.exit_code, 0) << marked.err;
    EXPECT_FALSE(contains(marked.err, "derived")) << marked.err;
  }
  spill(folder / "bad/1.json", "{}");
  const auto broken = enroll("--overwrite " + references + " --masks " + path("bad"));
  EXPECT_EQ(broken.exit_code, 3);
  EXPECT_TRUE(contains(broken.err, "bad/1.json")) << broken.err;
}

TEST_F(BankTest, DerivedMasksNeverReplaceOthers) {
  write_png(folder / "kinds/a/0.png", part(40, true));
  write_png(folder / "kinds/b/0.png", part(41, true));
  const std::string good = "--method both_nn --normal " + path("good") + " --abnormal ";
  ASSERT_EQ(enroll(good + path("kinds")).exit_code, 0);
  EXPECT_TRUE(fs::exists(folder / "bank-masks/a/0_mask.png"));
  EXPECT_TRUE(fs::exists(folder / "bank-masks/b/0_mask.png"));
  const std::string before = slurp(folder / "bank-masks/a/0_mask.png");
  const auto again = enroll("--overwrite " + good + path("kinds"));
  EXPECT_EQ(again.exit_code, 2);
  EXPECT_TRUE(contains(again.err, "0_mask.png") && contains(again.err, "--masks")) << again.err;
  EXPECT_EQ(slurp(folder / "bank-masks/a/0_mask.png"), before);
  EXPECT_EQ(
      enroll("--overwrite " + good + path("kinds") + " --masks " + path("bank-masks")).exit_code,
      0);
  const auto same = enroll("--overwrite --derived-masks " + path("other") + " " + good +
                           path("kinds/a/0.png") + " --abnormal " + path("kinds/b/0.png"));
  EXPECT_EQ(same.exit_code, 2);
  EXPECT_TRUE(contains(same.err, "would have the derived mask")) << same.err;
  // Those that the bank holds need no mask again: only the new one's is derived.
  write_png(folder / "kinds/a/1.png", part(42, true));
  const auto grown = enroll("--add --abnormal " + path("kinds"));
  EXPECT_EQ(grown.exit_code, 0) << grown.err;
  EXPECT_TRUE(contains(grown.out, "3 of defects")) << grown.out;
  EXPECT_TRUE(fs::exists(folder / "bank-masks/a/1_mask.png"));
  EXPECT_EQ(slurp(folder / "bank-masks/a/0_mask.png"), before);
  // A picture is good or it is not.
  const auto opposite = enroll("--add --normal " + path("kinds/a/0.png"));
  EXPECT_EQ(opposite.exit_code, 2);
  EXPECT_TRUE(contains(opposite.err, "of a defect")) << opposite.err;
}

TEST_F(BankTest, SortedCopiesNeverTakeAnInputAway) {
  calibrated_bank();
  fs::create_directories(folder / "out/sorted/normal");
  fs::copy_file(folder / "new/spot0.png", folder / "out/sorted/normal/spot0.png");
  const auto outcome = run_nagl("score --overwrite --sorted --bank " + bank() + " --out " +
                                path("out") + " " + path("out/sorted/normal/spot0.png"));
  EXPECT_EQ(outcome.exit_code, 2) << outcome.err;
  EXPECT_TRUE(contains(outcome.err, "replace an input")) << outcome.err;
  EXPECT_TRUE(fs::exists(folder / "out/sorted/normal/spot0.png"));
}

TEST_F(BankTest, PathsFromStandardInputGiveALineEach) {
  calibrated_bank();
  spill(folder / "list",
        path("new/good0.png") + "\n\n" + path("new/absent.png") + "\r\n" + path("new/spot0.png"));
  const auto outcome = run_nagl("score --fail-on-anomaly --out " + path("out") + " --bank " +
                                bank() + " - <" + path("list"));
  EXPECT_EQ(outcome.exit_code, 10) << outcome.err;
  const auto records = lines(outcome.out);
  ASSERT_EQ(records.size(), 3U) << outcome.out;
  EXPECT_EQ(records[0]["verdict"], "normal");
  EXPECT_TRUE(contains(records[1]["error"], "absent.png"));
  EXPECT_EQ(records[2]["verdict"], "anomalous");
  EXPECT_EQ(slurp(folder / "out/results.jsonl"), outcome.out);
  EXPECT_TRUE(fs::exists(folder / "out/maps/spot0.png"));
  const auto again =
      run_nagl("score --out " + path("out") + " --bank " + bank() + " - <" + path("list"));
  EXPECT_EQ(again.exit_code, 2) << again.err;
  // Of two pictures of one name the second gets a place by its path.
  fs::create_directory(folder / "other");
  fs::copy_file(folder / "new/spot0.png", folder / "other/good0.png");
  spill(folder / "list", path("new/good0.png") + "\n" + path("other/good0.png") + "\n");
  const auto twice = run_nagl("score --overwrite --out " + path("out") + " --bank " + bank() +
                              " - <" + path("list"));
  EXPECT_EQ(twice.exit_code, 0) << twice.err;
  ASSERT_EQ(lines(twice.out).size(), 2U);
  EXPECT_EQ(lines(twice.out)[0]["map"], path("out/maps/good0.png"));
  EXPECT_TRUE(contains(lines(twice.out)[1]["map"], "other/good0.png")) << twice.out;
  const auto none = run_nagl("score --fail-on-anomaly --bank " + bank() + " " + path("list"));
  EXPECT_EQ(none.exit_code, 3) << none.err;  // nothing was scored, so nothing was anomalous
  spill(folder / "list", path("new/good0.png") + "\n");
  EXPECT_EQ(run_nagl("score --bank " + bank() + " - <" + path("list")).exit_code, 0);
  EXPECT_EQ(run_nagl("score --bank " + bank() + " - </dev/null").exit_code, 0);
  EXPECT_EQ(run_nagl("score --bank " + bank() + " - " + path("new")).exit_code, 2);
}

TEST_F(BankTest, AWatchedFolderMayBeWrittenSlowlyRenamedAndEmptied) {
  calibrated_bank();
  fs::create_directories(folder / "inbox/sub");
  fs::copy_file(folder / "new/good0.png", folder / "inbox/first.png");
  const std::string slow = slurp(folder / "new/spot0.png");
  int step = 0;
  auto since = std::chrono::steady_clock::now();
  const auto outcome = run_nagl(
      "score --settle 0.5 --bank " + bank() + " --out " + path("out") + " --watch " + path("inbox"),
      "", [&](pid_t child, const std::string& printed) {
        const auto count = std::count(printed.begin(), printed.end(), '\n');
        const auto after = [&](int milliseconds) {
          return std::chrono::steady_clock::now() - since > std::chrono::milliseconds(milliseconds);
        };
        const auto next = [&] {
          ++step;
          since = std::chrono::steady_clock::now();
        };
        if (step == 0 && count == 1) {  // the picture that was there
          spill(folder / "inbox/vanishing.png", slow.substr(0, 100));
          spill(folder / "inbox/text.txt", "no picture");
          next();
        } else if (step >= 1 && step <= 6 && after(200)) {  // written slowly
          if (step == 1) fs::remove(folder / "inbox/vanishing.png");
          spill(folder / "inbox/slow.png",
                slow.substr(0, slow.size() * static_cast<std::size_t>(step) / 6));
          next();
        } else if (step == 7 && count == 2) {
          fs::copy_file(folder / "new/good1.png", folder / "inbox/sub/.part");
          fs::rename(folder / "inbox/sub/.part", folder / "inbox/sub/moved.png");
          next();
        } else if (step == 8 && count == 3) {
          fs::rename(folder / "inbox/sub/moved.png", folder / "inbox/again.png");
          next();
        } else if (step == 9 && count == 4) {
          spill(folder / "inbox/half.png", "no picture at all");
          next();
        } else if (step == 10 && after(1500)) {  // half written, then whole
          EXPECT_EQ(count, 4) << printed;
          spill(folder / "inbox/half.png", slow);
          next();
        } else if (step == 11 && count == 5) {
          fs::remove_all(folder / "inbox/sub");
          spill(folder / "inbox/broken.png", "never a picture");
          next();
        } else if (step == 12 && count == 6) {
          ::kill(child, SIGTERM);
          return true;
        }
        if (after(30000)) ::kill(child, SIGTERM);
        return after(30000);
      });
  EXPECT_EQ(step, 12);
  EXPECT_EQ(outcome.exit_code, 3) << outcome.err;  // one was skipped
  const auto records = lines(outcome.out);
  ASSERT_EQ(records.size(), 6U) << outcome.out << outcome.err;
  const std::vector<std::string> names = {"first", "slow", "sub/moved", "again", "half", "broken"};
  for (std::size_t i = 0; i < names.size(); ++i) {
    EXPECT_EQ(records[i]["path"], path("inbox/" + names[i] + ".png"));
    EXPECT_EQ(records[i].contains("error"), names[i] == "broken") << records[i];
  }
  EXPECT_EQ(records[1]["verdict"], "anomalous");
  EXPECT_EQ(records[4]["verdict"], "anomalous");
  EXPECT_EQ(slurp(folder / "out/results.jsonl"), outcome.out);
  EXPECT_TRUE(fs::exists(folder / "out/overlays/sub/moved.png"));
  // A watch that is started again leaves alone what has a line, and sees what changed meanwhile.
  spill(folder / "inbox/slow.png", slurp(folder / "new/good1.png"));
  const auto again = run_nagl(
      "score --settle 0.5 --bank " + bank() + " --out " + path("out") + " --watch " + path("inbox"),
      "", [&](pid_t child, const std::string& printed) {
        const bool done = contains(printed, "slow.png");
        if (done) ::kill(child, SIGTERM);
        return done;
      });
  ASSERT_EQ(lines(again.out).size(), 1U) << again.out;
  EXPECT_EQ(lines(again.out)[0]["verdict"], "normal");
  EXPECT_EQ(slurp(folder / "out/results.jsonl"), outcome.out + again.out);
  EXPECT_EQ(run_nagl("score --bank " + bank() + " --watch " + path("nowhere")).exit_code, 3);
  EXPECT_EQ(run_nagl("score --bank " + bank() + " --watch " + path("inbox") + " " + path("new"))
                .exit_code,
            2);
}

TEST_F(BankTest, AnOutputFolderThatCannotBeWrittenLosesNothing) {
  calibrated_bank();
  fs::create_directory(folder / "sealed");
  ::chmod((folder / "sealed").c_str(), 0500);
  const std::string user = ::geteuid() == 0 ? "setpriv --reuid 65534 --clear-groups " : "";
  ::chmod(folder.path().c_str(), 0755);
  const std::string nagl = user + "env NAGL_BACKBONE='" + testing::backbone_file()->string() + "' ";
  if (::system((nagl + NAGL_EXECUTABLE " --version >/dev/null 2>&1").c_str()) != 0) {
    GTEST_SKIP() << "no other user can run nagl here, and root can write everywhere";
  }
  const auto run = [&](const std::string& arguments) {
    return ::system(
        (nagl + NAGL_EXECUTABLE " " + arguments + " >" + path("said") + " 2>&1").c_str());
  };
  EXPECT_EQ(WEXITSTATUS(
                run("score --bank " + bank() + " --out " + path("sealed/out") + " " + path("new"))),
            3);
  EXPECT_TRUE(contains(slurp(folder / "said"), "sealed/out")) << slurp(folder / "said");
  EXPECT_EQ(WEXITSTATUS(run("enroll --image-size 112 --normal " + path("good") + " --out " +
                            path("sealed/bank.safetensors"))),
            3);
  EXPECT_TRUE(fs::is_empty(folder / "sealed"));
}

TEST(Completion, KnowsEveryCommandAndItsOptions) {
  for (const std::string shell : {"bash", "zsh", "fish"}) {
    const auto script = run_nagl("completion " + shell);
    EXPECT_EQ(script.exit_code, 0);
    for (const char* word :
         {"enroll", "calibrate", "score", "train", "false-alarm-rate", "watch"}) {
      EXPECT_TRUE(contains(script.out, word)) << shell << " " << word;
    }
  }
  EXPECT_EQ(run_nagl("completion tcsh").exit_code, 2);
  const TemporaryFolder folder;
  spill(folder / "nagl.bash", run_nagl("completion bash").out);
  const std::string ask = "bash -c '. " + (folder / "nagl.bash").string() +
                          "; COMP_WORDS=(nagl calibrate --fal); COMP_CWORD=2; _nagl; echo "
                          "$COMPREPLY' >" +
                          (folder / "said").string();
  ASSERT_EQ(::system(ask.c_str()), 0);
  EXPECT_EQ(slurp(folder / "said"), "--false-alarm-rate\n");
  const auto all = run_nagl("--help-all");
  EXPECT_EQ(all.exit_code, 0);
  EXPECT_TRUE(contains(all.out, "--false-alarm-rate") && contains(all.out, "--print-options"));
}

}  // namespace
}  // namespace nagl
