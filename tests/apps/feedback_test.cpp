#include <nlohmann/json.hpp>
#include <opencv2/core.hpp>

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
namespace fs = std::filesystem;
using Json = nlohmann::json;

/// `nagl bank` and `nagl feedback` on noise with spots.
class FeedbackTest : public ::testing::Test {
 protected:
  void SetUp() override {
    NAGL_NEEDS_BACKBONE(weights);
    for (std::uint64_t i = 0; i < 4; ++i) {
      write_png(folder / ("good/" + std::to_string(i) + ".png"), part(i, false));
      write_png(folder / ("new/good" + std::to_string(i) + ".png"), part(10 + i, false));
      write_png(folder / ("new/spot" + std::to_string(i) + ".png"), part(20 + i, true));
    }
    write_png(folder / "masks/spot0_mask.png", spot_mask());
    ASSERT_EQ(enroll(bank(), "--normal " + path("good")).exit_code, 0);
  }

  std::string path(const std::string& name) const { return (folder / name).string(); }
  std::string bank() const { return path("bank.safetensors"); }
  static Outcome enroll(const std::string& out, const std::string& arguments) {
    return run_nagl("enroll --image-size 112 --out " + out + " " + arguments);
  }
  Json shown() const { return Json::parse(run_nagl("bank show --json " + bank()).out); }

  TemporaryFolder folder;
};

TEST_F(FeedbackTest, ABankIsShownChangedAndPutBack) {
  ASSERT_EQ(run_nagl("calibrate --bank " + bank()).exit_code, 0);
  const std::string calibrated = slurp(bank());
  const Json before = shown();
  ASSERT_EQ(before["pictures"].size(), 4U);
  EXPECT_EQ(before["pictures"][1]["path"], path("good/1.png"));
  EXPECT_EQ(before["pictures"][1]["number"], 2);
  EXPECT_EQ(before["pictures"][1]["part"], "normal");
  EXPECT_EQ(before["pictures"][1]["width"], 120);
  EXPECT_EQ(before["pictures"][1]["height"], 90);
  EXPECT_EQ(before["pictures"][1]["modified"].get<std::string>().size(), 20U);
  EXPECT_FALSE(before["calibration"].is_null());
  EXPECT_EQ(before["generations"], 1);
  EXPECT_TRUE(contains(run_nagl("bank show " + bank()).out, "good/3.png"));

  const std::string checksum = before["pictures"][3]["checksum"];
  const auto removed = run_nagl("bank remove " + bank() + " good/1.png " + checksum.substr(0, 8));
  ASSERT_EQ(removed.exit_code, 0) << removed.err;
  EXPECT_TRUE(contains(removed.out, "2 removed, 2 normal")) << removed.out;
  EXPECT_TRUE(contains(removed.err, "calibration is void")) << removed.err;
  ASSERT_EQ(enroll(path("two.safetensors"),
                   "--normal " + path("good/0.png") + " --normal " + path("good/2.png"))
                .exit_code,
            0);
  EXPECT_TRUE(slurp(bank()) == slurp(path("two.safetensors")));  // as if it had never had them
  ASSERT_EQ(run_nagl("bank remove " + bank() + " '#1'").exit_code, 0);
  EXPECT_EQ(shown()["pictures"][0]["path"], path("good/2.png"));

  const auto refused = [&](const std::string& arguments, int code, const std::string& said) {
    const std::string file = slurp(bank());
    const auto outcome = run_nagl("bank " + arguments);
    EXPECT_EQ(outcome.exit_code, code) << arguments;
    EXPECT_TRUE(contains(outcome.err, said)) << arguments << ": " << outcome.err;
    EXPECT_TRUE(slurp(bank()) == file);
  };
  refused("remove " + bank() + " absent.png", 3, "absent.png");
  refused("remove " + bank() + " '#9'", 3, "#9");
  refused("remove " + bank() + " good/2.png", 2, "needs a good picture");
  refused("undo --steps 9 " + bank(), 3, "3 earlier generations");
  refused("undo " + path("good/0.png"), 3, "no earlier generation");
  refused("history " + path("absent"), 3, "absent");
  refused("merge " + bank() + " " + bank() + " --out " + bank(), 2, "--overwrite");

  const auto history = Json::parse(run_nagl("bank history --json " + bank()).out);
  ASSERT_EQ(history.size(), 3U);
  EXPECT_TRUE(contains(history[0]["change"], "remove"));
  EXPECT_EQ(history[2]["change"], "calibrate");
  const auto undone = run_nagl("bank undo --steps 2 " + bank());
  EXPECT_EQ(undone.exit_code, 0) << undone.err;
  EXPECT_TRUE(slurp(bank()) == calibrated);

  const auto merged = run_nagl("bank merge " + path("two.safetensors") + " " + bank() + " --out " +
                               path("all.safetensors"));
  ASSERT_EQ(merged.exit_code, 0) << merged.err;
  EXPECT_TRUE(contains(merged.out, "4 normal")) << merged.out;
  ASSERT_EQ(enroll(path("other.safetensors"), "--top-share 0.1 --normal " + path("good")).exit_code,
            0);
  const auto unlike = run_nagl("bank merge " + path("two.safetensors") + " " +
                               path("other.safetensors") + " --out " + path("none.safetensors"));
  EXPECT_EQ(unlike.exit_code, 2);
  EXPECT_TRUE(contains(unlike.err, "top_share")) << unlike.err;
  EXPECT_FALSE(fs::exists(path("none.safetensors")));
}

TEST_F(FeedbackTest, MistakesAreLearntAndRightOnesRemembered) {
  ASSERT_EQ(run_nagl("calibrate --bank " + bank()).exit_code, 0);
  // A shade that no reference has: a false alarm, once.
  const auto shaded = [](std::uint64_t seed) {
    cv::Mat picture = part(seed, false);
    picture.rowRange(0, 40) -= cv::Scalar::all(70);
    return picture;
  };
  for (std::uint64_t i = 0; i < 2; ++i) {
    write_png(folder / ("shade" + std::to_string(i) + ".png"), shaded(40 + i));
  }
  const auto taught = run_nagl("feedback --json " + bank() + " --good " + path("shade0.png") +
                               " --good " + path("new/good0.png") + " --bad " +
                               path("new/spot0.png") + " --masks " + path("masks"));
  ASSERT_EQ(taught.exit_code, 0) << taught.err;
  const Json result = Json::parse(taught.out);
  ASSERT_EQ(result["pictures"].size(), 3U);
  EXPECT_EQ(result["pictures"][0]["verdict_before"], "anomalous");
  EXPECT_EQ(result["pictures"][0]["learnt"], true);
  EXPECT_EQ(result["pictures"][1]["verdict_before"], "normal");
  EXPECT_EQ(result["pictures"][1]["learnt"], false);
  EXPECT_EQ(result["pictures"][2]["learnt"], true);             // the first picture of a defect
  EXPECT_TRUE(result["pictures"][2]["score_after"].is_null());  // the only one of its kind
  const Json bank_now = shown();
  EXPECT_EQ(bank_now["pictures"].size(), 6U);
  EXPECT_EQ(bank_now["pictures"][5]["part"], "abnormal");
  EXPECT_EQ(bank_now["decisions"].size(), 3U);
  EXPECT_EQ(bank_now["scored_by"], "discriminant");
  EXPECT_FALSE(bank_now["calibration"].is_null());
  const auto scored = lines(
      run_nagl("score --json --bank " + bank() + " " + path("shade1.png") + " " + path("new")).out);
  for (const auto& line : scored) {
    EXPECT_EQ(line["verdict"], contains(line["path"], "spot") ? "anomalous" : "normal") << line;
  }
  // Another rule from now on.
  const auto balanced =
      run_nagl("feedback --json --force --best-f1 " + bank() + " --good " + path("new/good1.png"));
  EXPECT_EQ(balanced.exit_code, 0) << balanced.err;
  EXPECT_EQ(Json::parse(balanced.out)["calibration"]["options"]["rule"], "best_f1");
  EXPECT_LT(Json::parse(balanced.out)["calibration"]["image_threshold"],
            result["calibration"]["image_threshold"]);
  ASSERT_EQ(run_nagl("bank undo " + bank()).exit_code, 0);
  // Nothing to learn of what it is right about.
  const std::string before = slurp(bank());
  const auto right = run_nagl("feedback " + bank() + " --good " + path("shade1.png"));
  EXPECT_EQ(right.exit_code, 0) << right.err;
  EXPECT_TRUE(contains(right.out, "nothing to learn")) << right.out;
  EXPECT_EQ(shown()["decisions"].size(), 4U);
  ASSERT_EQ(run_nagl("bank undo " + bank()).exit_code, 0);
  EXPECT_TRUE(slurp(bank()) == before);
}

TEST_F(FeedbackTest, HotPatchesOfAFalseAlarmAreEnough) {
  ASSERT_EQ(run_nagl("calibrate --bank " + bank()).exit_code, 0);
  cv::Mat corner = part(40, false), other = part(41, false);
  for (cv::Mat* picture : {&corner, &other}) (*picture)(cv::Rect(60, 45, 60, 45)) *= 0.4;
  write_png(folder / "corner.png", corner);
  write_png(folder / "other.png", other);
  const auto score_of_other = [&] {
    return lines(run_nagl("score --json --bank " + bank() + " " + path("other.png")).out)
        .at(0)["image_score"]
        .get<double>();
  };
  const std::int64_t before = shown()["patches"];
  const double unknown = score_of_other();
  const auto taught =
      run_nagl("feedback --hot-patches --json " + bank() + " --good " + path("corner.png"));
  ASSERT_EQ(taught.exit_code, 0) << taught.err;
  const Json picture = Json::parse(taught.out)["pictures"][0];
  EXPECT_EQ(picture["verdict_before"], "anomalous");
  EXPECT_EQ(picture["learnt"], true);
  // The dark quarter has some 4 x 4 of 8 x 8 patches; none of the four turns was learnt.
  const std::int64_t more = shown()["patches"].get<std::int64_t>() - before;
  EXPECT_GE(more, 4);
  EXPECT_LE(more, 30);
  EXPECT_LT(score_of_other(), 0.3 * unknown);
  const auto spot =
      lines(run_nagl("score --json --bank " + bank() + " " + path("new/spot1.png")).out);
  EXPECT_EQ(spot.at(0)["verdict"], "anomalous");
}

TEST_F(FeedbackTest, ABankOfAFixedSizeNeverGrowsBeyondIt) {
  const std::string options = " --method normal_nn --max-size 700kB ";
  ASSERT_EQ(enroll(path("small.safetensors"), options + "--normal " + path("good")).exit_code, 0);
  for (std::uint64_t i = 0; i < 24; ++i) {
    write_png(folder / ("many/" + std::to_string(i) + ".png"), part(100 + i, false));
  }
  const std::string small = path("small.safetensors");
  const auto added = run_nagl("enroll --add --out " + small + " --normal " + path("many"));
  ASSERT_EQ(added.exit_code, 0) << added.err;
  EXPECT_LE(fs::file_size(small), 700'000U);
  EXPECT_TRUE(contains(added.out, "28 normal pictures")) << added.out;
  const Json now = Json::parse(run_nagl("bank show --json " + small).out);
  ASSERT_TRUE(now["pictures"][0].contains("pictures"));
  EXPECT_EQ(now["pictures"].size() - 1 + now["pictures"][0]["pictures"].get<std::size_t>(), 28U);
  EXPECT_TRUE(contains(run_nagl("bank show " + small).out, "older pictures)"));
  const auto calibrated = run_nagl("calibrate --bank " + small);
  EXPECT_EQ(calibrated.exit_code, 0) << calibrated.err;
  const auto refused = run_nagl("bank remove " + small + " '#1'");
  EXPECT_EQ(refused.exit_code, 3);
  EXPECT_TRUE(contains(refused.err, "does not tell apart")) << refused.err;
  ASSERT_EQ(run_nagl("bank remove " + small + " '#2'").exit_code, 0);
  const auto differs =
      run_nagl("enroll --add --max-size 1MB --out " + small + " --normal " + path("new/good0.png"));
  EXPECT_EQ(differs.exit_code, 4);
  EXPECT_TRUE(contains(differs.err, "--max-size")) << differs.err;
  const auto least = run_nagl("enroll --max-size 50kB --out " + path("none.safetensors") +
                              " --normal " + path("good"));
  EXPECT_EQ(least.exit_code, 2);
  EXPECT_TRUE(contains(least.err, "too small")) << least.err;
  EXPECT_FALSE(fs::exists(path("none.safetensors")));
}

TEST_F(FeedbackTest, AChangeForTheWorseIsToldAndNotKept) {
  ASSERT_EQ(run_nagl("calibrate --bank " + bank()).exit_code, 0);
  ASSERT_EQ(run_nagl("feedback " + bank() + " --bad " + path("new/spot1.png")).exit_code, 0);
  const std::string before = slurp(bank());
  const std::string wrong = "feedback " + bank() + " --good " + path("new/spot2.png");
  const auto refused = run_nagl(wrong);
  EXPECT_EQ(refused.exit_code, 11) << refused.out << refused.err;
  EXPECT_TRUE(contains(refused.out, "not kept")) << refused.out;
  EXPECT_TRUE(slurp(bank()) == before);
  const auto forced = run_nagl(wrong + " --force");
  EXPECT_EQ(forced.exit_code, 0) << forced.err;
  EXPECT_FALSE(slurp(bank()) == before);
  EXPECT_EQ(shown()["pictures"].size(), 5U);
  // The last word counts: what was learnt as good goes out and comes back as a defect.
  write_png(folder / "masks/spot2_mask.png", spot_mask());
  const auto corrected = run_nagl("feedback --force --json " + bank() + " --bad " +
                                  path("new/spot2.png") + " --masks " + path("masks"));
  EXPECT_EQ(corrected.exit_code, 0) << corrected.err;
  EXPECT_EQ(Json::parse(corrected.out)["corrected"], 1);
  const Json now = shown();
  ASSERT_EQ(now["pictures"].size(), 5U);
  EXPECT_EQ(now["pictures"][4]["part"], "abnormal");
  EXPECT_EQ(now["pictures"][4]["path"], path("new/spot2.png"));
  // Decisions of pictures that are gone are kept, and judge nothing.
  fs::remove(path("new/spot1.png"));
  const auto later = run_nagl("feedback " + bank() + " --good " + path("new/good2.png"));
  EXPECT_EQ(later.exit_code, 0) << later.err;
  EXPECT_TRUE(contains(later.err, "1 of the pictures that were decided earlier")) << later.err;
  EXPECT_EQ(shown()["decisions"].size(), 3U);
}

TEST_F(FeedbackTest, TakesWhatAReportSaved) {
  const Json outline = {60, 10, 100, 10, 100, 50, 60, 50};
  const Json decisions = {
      {"images",
       {{{"id", 1}, {"file_name", path("new/spot0.png")}, {"width", 120}, {"height", 90}}}},
      {"annotations",
       {{{"id", 1}, {"image_id", 1}, {"category_id", 1}, {"segmentation", {outline}}}}},
      {"categories", {{{"id", 1}, {"name", "defect"}}}},
      {"nagl",
       {{"good", {path("new/good0.png")}},
        {"bad", {path("new/spot0.png"), path("new/spot1.png")}}}}};
  spill(path("decisions.json"), decisions.dump());
  const auto taught = run_nagl("feedback " + bank() + " " + path("decisions.json"));
  ASSERT_EQ(taught.exit_code, 0) << taught.err;
  EXPECT_TRUE(contains(taught.out, "1 references and 2 defects more")) << taught.out;
  EXPECT_TRUE(contains(taught.err, "1 defects have no mask")) << taught.err;
  EXPECT_TRUE(contains(taught.out, "no verdicts")) << taught.out;
  EXPECT_EQ(shown()["pictures"].size(), 7U);
  const auto refused = [&](const std::string& arguments, int code, const std::string& said) {
    const auto outcome = run_nagl("feedback " + bank() + " " + arguments);
    EXPECT_EQ(outcome.exit_code, code) << arguments;
    EXPECT_TRUE(contains(outcome.err, said)) << arguments << ": " << outcome.err;
  };
  refused("", 2, "--good");
  spill(path("none.json"), "{}");
  refused(path("none.json"), 3, "none.json");
  refused("--good " + path("absent.png"), 3, "absent.png");
  refused("--masks " + path("masks") + " --good " + path("good"), 2, "--bad");
}

}  // namespace
}  // namespace nagl
