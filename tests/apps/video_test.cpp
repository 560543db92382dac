#include "nagl/image/video.h"

#include <cmath>
#include <opencv2/core.hpp>

#include "camera.h"
#include "command.h"
#include "local_server.h"
#include "nagl/core/error.h"
#include "nagl/image/image.h"
#include "spots.h"

namespace nagl {
namespace {

namespace fs = std::filesystem;
using testing::contains;
using testing::lines;
using testing::LocalServer;
using testing::part;
using testing::run_nagl;
using testing::slurp;
using testing::spill;
using testing::TemporaryFolder;

/// Good parts, and a video of others; each third one has a spot.
class VideoTest : public ::testing::Test {
 protected:
  void SetUp() override {
    NAGL_NEEDS_BACKBONE(weights);
    for (std::uint64_t i = 0; i < 4; ++i) {
      write_png(folder / ("good/" + std::to_string(i) + ".png"), part(i, false));
    }
    try {
      VideoWriter writer(folder / "line.avi", 10);
      for (std::uint64_t i = 0; i < 9; ++i) writer.add(part(20 + i, i % 3 == 2));
      writer.finish();
    } catch (const ConfigError& error) {
      GTEST_SKIP() << error.what();
    }
    good = "score --image-size 112 --normal " + path("good") + " ";
  }
  std::string path(const std::string& name) const { return (folder / name).string(); }
  int frames_in(const std::string& name) const {
    VideoReader reader(path(name));
    int count = 0;
    while (reader.next()) ++count;
    return count;
  }

  const TemporaryFolder folder;
  std::string good;
};

TEST_F(VideoTest, FramesScoreAsTheSamePicturesDo) {
  const auto video = run_nagl(good + "--video " + path("line.avi"));
  ASSERT_EQ(video.exit_code, 0) << video.err;
  const auto records = lines(video.out);
  ASSERT_EQ(records.size(), 9U);
  VideoReader reader(path("line.avi"));
  for (int i = 0; i < 9; ++i) {
    write_png(folder / ("frames/" + std::to_string(i) + ".png"), reader.next()->rgb);
  }
  const auto pictures = run_nagl(good + "--json " + path("frames"));
  const auto same = lines(pictures.out);
  ASSERT_EQ(same.size(), 9U);
  for (std::size_t i = 0; i < 9; ++i) {
    EXPECT_EQ(records[i]["path"], path("line.avi") + "#" + std::to_string(i));
    EXPECT_EQ(records[i]["frame"], i);
    EXPECT_NEAR(records[i]["seconds"].get<double>(), 0.1 * static_cast<double>(i), 0.002);
    EXPECT_NEAR(records[i]["image_score"].get<double>(), same[i]["image_score"].get<double>(),
                1e-5);
    EXPECT_FALSE(records[i].contains("time"));  // of a file
  }
}

TEST_F(VideoTest, ResultsAreThoseOfFramesThatAreNotNormal) {
  const std::string command = good + "--threshold 0.15 --every 2 --video " + path("line.avi") +
                              " --out " + path("out") + " --video-out " + path("seen.mp4");
  const auto outcome = run_nagl(command);
  ASSERT_EQ(outcome.exit_code, 0) << outcome.err;
  const auto records = lines(outcome.out);
  ASSERT_EQ(records.size(), 5U);  // 0, 2, 4, 6, 8
  EXPECT_EQ(slurp(folder / "out/results.jsonl"), outcome.out);
  for (const auto& record : records) {
    const bool spotted = record["frame"].get<int>() % 3 == 2;
    EXPECT_EQ(record["verdict"], spotted ? "anomalous" : "normal") << record;
    EXPECT_EQ(record.contains("overlay"), spotted);
    EXPECT_EQ(record.contains("map"), spotted);
  }
  EXPECT_TRUE(fs::exists(folder / "out/overlays/line/000002.png"));
  EXPECT_TRUE(fs::exists(folder / "out/maps/line/000008.png"));
  EXPECT_FALSE(fs::exists(folder / "out/overlays/line/000004.png"));
  EXPECT_EQ(frames_in("seen.mp4"), 5);
  const auto run = nlohmann::json::parse(slurp(folder / "out/run.json"));
  EXPECT_EQ(run["video"]["every"], 2);
  EXPECT_EQ(run["summary"]["called_anomalous"], 2);

  // Nothing is replaced unless that is asked for, and then by all frames.
  const auto again = run_nagl(command);
  EXPECT_EQ(again.exit_code, 2);
  EXPECT_TRUE(contains(again.err, "seen.mp4' exists")) << again.err;
  EXPECT_EQ(run_nagl(command + " --overwrite --normal-frames").exit_code, 0);
  EXPECT_TRUE(fs::exists(folder / "out/overlays/line/000004.png"));
}

TEST_F(VideoTest, ALineTakesAFrame) {
  spill(folder / "triggers", "part 17\n\npart \"18\"\r\n");
  const auto outcome =
      run_nagl(good + "--every 4 --trigger --video " + path("line.avi") + " <" + path("triggers"));
  ASSERT_EQ(outcome.exit_code, 0) << outcome.err;
  const auto records = lines(outcome.out);
  ASSERT_EQ(records.size(), 3U);
  EXPECT_EQ(records[0]["trigger"], "part 17");
  EXPECT_EQ(records[1]["trigger"], "");
  EXPECT_EQ(records[2]["trigger"], "part \"18\"");
  EXPECT_EQ(records[2]["frame"], 8);
}

TEST_F(VideoTest, ADamagedFrameIsSkipped) {
  std::string bytes = slurp(folder / "line.avi");
  std::size_t at = 0;
  for (int i = 0; i < 4; ++i) at = bytes.find("\xFF\xDA", at + 2);
  for (std::size_t i = at + 14; i < at + 200; ++i) bytes[i] = 'A';
  spill(folder / "line.avi", bytes);
  const auto outcome = run_nagl(good + "--video " + path("line.avi"));
  EXPECT_EQ(outcome.exit_code, 3);
  const auto records = lines(outcome.out);
  ASSERT_EQ(records.size(), 9U);
  for (std::size_t i = 0; i < 9; ++i) EXPECT_EQ(records[i].contains("error"), i == 3) << records[i];
  EXPECT_TRUE(contains(outcome.err, "skipped: '" + path("line.avi") + "#3' is damaged"))
      << outcome.err;
  EXPECT_FALSE(contains(outcome.err, "[mjpeg")) << outcome.err;
}

TEST_F(VideoTest, AnInterruptionKeepsWhatWasScored) {
  VideoWriter writer(folder / "long.avi", 10);
  for (int i = 0; i < 300; ++i) writer.add(part(9, false));
  writer.finish();
  bool sent = false;
  const auto outcome = run_nagl(good + "--video " + path("long.avi") + " --out " + path("out") +
                                    " --video-out " + path("seen.mkv"),
                                "", [&](pid_t child, const std::string& printed) {
                                  if (std::count(printed.begin(), printed.end(), '\n') < 2) {
                                    return false;
                                  }
                                  ::kill(child, SIGINT);
                                  return sent = true;
                                });
  ASSERT_TRUE(sent);
  EXPECT_EQ(outcome.exit_code, 1);
  EXPECT_TRUE(contains(outcome.err, "interrupted")) << outcome.err;
  const auto saved = lines(slurp(folder / "out/results.jsonl"));
  EXPECT_GE(saved.size(), 2U);
  EXPECT_LT(saved.size(), 300U);
  EXPECT_EQ(frames_in("seen.mkv"), static_cast<int>(saved.size()));
}

TEST_F(VideoTest, ACameraThatIsLostIsTriedAgain) {
  write_jpeg(folder / "frame.jpg", part(9, false));
  const testing::Camera camera(slurp(folder / "frame.jpg"), 40);
  bool sent = false;
  const auto outcome = run_nagl(good + "--reconnect 0.2 --every 5 --out " + path("out") +
                                    " --video-out " + path("seen.mp4") + " --video " + camera.url(),
                                "", [&](pid_t child, const std::string&) {
                                  if (camera.connections() < 3) return false;
                                  ::kill(child, SIGINT);
                                  return sent = true;
                                });
  ASSERT_TRUE(sent);
  EXPECT_EQ(outcome.exit_code, 0) << outcome.err;  // a camera has no other end
  EXPECT_TRUE(contains(outcome.err, "is lost")) << outcome.err;
  EXPECT_TRUE(contains(outcome.err, "is back")) << outcome.err;
  const auto records = lines(slurp(folder / "out/results.jsonl"));
  ASSERT_GE(records.size(), 2U);
  for (std::size_t i = 1; i < records.size(); ++i) {
    EXPECT_GT(records[i]["frame"], records[i - 1]["frame"]);
    EXPECT_GE(records[i]["seconds"], records[i - 1]["seconds"]);
  }
  EXPECT_GE(records.back()["frame"], 40);  // numbers go on where the connection broke
  EXPECT_TRUE(contains(records.back()["time"], "Z"));
  EXPECT_EQ(frames_in("seen.mp4"), static_cast<int>(records.size()));
}

TEST_F(VideoTest, NonsenseIsRefused) {
  const auto refused = [&](const std::string& arguments, int code, const std::string& why) {
    const auto outcome = run_nagl(good + arguments);
    EXPECT_EQ(outcome.exit_code, code) << arguments;
    EXPECT_TRUE(contains(outcome.err, why)) << outcome.err;
  };
  const std::string video = "--video " + path("line.avi") + " ";
  refused(video + path("good"), 2, "--video takes no other pictures");
  refused(video + "--watch " + path("good"), 2, "give one of them");
  refused(video + "--shard 0/2 --out " + path("out"), 2, "--shard");
  refused("--trigger " + path("good"), 2, "need --video");
  refused("--every 3 " + path("good"), 2, "need --video");
  refused(video + "--every 0", 2, "--every");
  refused(video + "--video-out " + path("line.avi"), 2, "would replace the video");
  refused(video + "--video-out " + path("x.gif"), 2, "give .mp4, .mkv or .avi");
  refused("--video " + path("none.avi"), 3, "there is no such file");
  refused(video + "--post http://127.0.0.1:1/", 2, "--spool or --out");
}

TEST_F(VideoTest, ResultsArePosted) {
  LocalServer server;
  const auto outcome = run_nagl(good + "--every 3 --video " + path("line.avi") + " --spool " +
                                path("spool") + " --post " + server.url());
  if (contains(outcome.err, "built without")) GTEST_SKIP() << outcome.err;
  ASSERT_EQ(outcome.exit_code, 0) << outcome.err;
  std::string posted;
  for (const auto& request : server.requests()) posted += request.body + "\n";
  EXPECT_EQ(posted, outcome.out);
  EXPECT_EQ(lines(posted).size(), 3U);
  EXPECT_FALSE(fs::exists(folder / "spool/webhook"));  // nothing waits

  // Pictures too; while nobody listens they wait below the output folder.
  const auto away = run_nagl(good + "--out " + path("out") + " --post http://127.0.0.1:" +
                             std::to_string(testing::free_port()) + "/ " + path("good/0.png"));
  EXPECT_EQ(away.exit_code, 0) << away.err;
  EXPECT_TRUE(contains(away.err, "1 result could not be delivered")) << away.err;
  const auto next = run_nagl(good + "--overwrite --out " + path("out") + " --post " + server.url() +
                             " " + path("good/1.png"));
  EXPECT_EQ(next.exit_code, 0) << next.err;
  ASSERT_EQ(server.requests().size(), 5U);
  EXPECT_TRUE(contains(server.requests()[3].body, "good/0.png"));
  EXPECT_TRUE(contains(server.requests()[4].body, "good/1.png"));
}

}  // namespace
}  // namespace nagl
