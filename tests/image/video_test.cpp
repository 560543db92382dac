#include "nagl/image/video.h"

#include <cmath>
#include <opencv2/core.hpp>
#include <opencv2/imgproc.hpp>
#include <thread>

#include "camera.h"
#include "nagl/core/error.h"
#include "support.h"

namespace nagl {
namespace {

namespace fs = std::filesystem;
using testing::message_of;
using testing::slurp;
using testing::spill;
using testing::TemporaryFolder;

bool contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

/// A frame that is known by its grey: 10 times its number. Red at its left, noise at its right.
cv::Mat frame_of(int number, cv::Size size = {64, 48}) {
  cv::Mat rgb(size, CV_8UC3, cv::Scalar::all(10 * number));
  rgb.colRange(0, 16).setTo(cv::Scalar(200, 0, 0));
  cv::Mat noise = rgb.colRange(48, rgb.cols);
  cv::RNG(5).fill(noise, cv::RNG::UNIFORM, 0, 255);
  return rgb;
}

/// Which frame it is.
int number_of(const cv::Mat& rgb) {
  return static_cast<int>(std::lround(cv::mean(rgb.colRange(32, 48).rowRange(16, 32))[0] / 10));
}

void write_video(const fs::path& file, int frames) {
  VideoWriter writer(file, 10);
  for (int i = 0; i < frames; ++i) writer.add(frame_of(i));
  writer.finish();
}

std::vector<VideoFrame> frames_of(VideoReader& reader) {
  std::vector<VideoFrame> frames;
  while (auto frame = reader.next()) frames.push_back(std::move(*frame));
  return frames;
}

class VideoTest : public ::testing::Test {
 protected:
  void SetUp() override {
    try {
      const VideoWriter probe(folder / "probe.avi", 10);
    } catch (const ConfigError& error) {
      GTEST_SKIP() << error.what();
    }
  }
  std::string refused(const std::string& source) {
    return message_of<DataError>([&] { const VideoReader reader(source); });
  }

  const TemporaryFolder folder;
};

TEST_F(VideoTest, WhatWasWrittenIsRead) {
  for (const char* name : {"a.avi", "a.mkv", "a.mp4"}) {
    SCOPED_TRACE(name);
    write_video(folder / name, 20);
    VideoReader reader((folder / name).string());
    EXPECT_FALSE(reader.live());
    EXPECT_NEAR(reader.frames_per_second(), 10, 1e-6);
    const auto frames = frames_of(reader);
    ASSERT_EQ(frames.size(), 20U);
    for (int i = 0; i < 20; ++i) {
      const VideoFrame& frame = frames[static_cast<std::size_t>(i)];
      EXPECT_EQ(frame.fault, "");
      EXPECT_EQ(frame.number, i);
      EXPECT_NEAR(frame.seconds, i / 10.0, 0.002);
      ASSERT_EQ(frame.rgb.size(), cv::Size(64, 48));
      EXPECT_EQ(number_of(frame.rgb), i);
    }
    // Red stays red.
    const cv::Scalar left = cv::mean(frames[1].rgb.colRange(2, 12).rowRange(10, 40));
    EXPECT_GT(left[0], 150);
    EXPECT_LT(left[2], 60);
    EXPECT_EQ(reader.ending(), "");
    EXPECT_TRUE(reader.ended());
  }
}

TEST_F(VideoTest, EachNthFrame) {
  write_video(folder / "a.avi", 20);
  VideoReader reader((folder / "a.avi").string(), 7);
  std::vector<std::int64_t> numbers;
  std::vector<int> seen;
  for (const auto& frame : frames_of(reader)) {
    numbers.push_back(frame.number);
    seen.push_back(number_of(frame.rgb));
  }
  EXPECT_EQ(numbers, (std::vector<std::int64_t>{0, 7, 14}));
  EXPECT_EQ(seen, (std::vector<int>{0, 7, 14}));
  EXPECT_EQ(reader.frames(), 20);
}

TEST_F(VideoTest, WhoStopsWaitsForNothing) {
  write_video(folder / "a.avi", 20);
  VideoReader reader((folder / "a.avi").string());
  EXPECT_TRUE(reader.next().has_value());
  // Its thread waits with frames that nobody asks for: the end of this test does not.
}

TEST_F(VideoTest, ACutFileSaysSo) {
  write_video(folder / "a.avi", 20);
  const std::string whole = slurp(folder / "a.avi");
  spill(folder / "cut.avi", whole.substr(0, whole.size() / 2));
  VideoReader reader((folder / "cut.avi").string());
  const auto frames = frames_of(reader);
  EXPECT_GT(frames.size(), 2U);
  EXPECT_LT(frames.size(), 18U);
  EXPECT_TRUE(contains(reader.ending(), "of the 20 frames")) << reader.ending();
}

TEST_F(VideoTest, ADamagedFrameIsNoPicture) {
  write_video(folder / "a.avi", 9);
  std::string bytes = slurp(folder / "a.avi");
  // The entropy-coded data of the fifth picture, each of which begins with this marker.
  std::size_t at = 0;
  for (int i = 0; i < 5; ++i) at = bytes.find("\xFF\xDA", at + 2);
  ASSERT_NE(at, std::string::npos);
  for (std::size_t i = at + 14; i < at + 60; ++i) bytes[i] = 'A';
  spill(folder / "damaged.avi", bytes);
  VideoReader reader((folder / "damaged.avi").string());
  std::vector<std::int64_t> faults;
  for (const auto& frame : frames_of(reader)) {
    if (!frame.fault.empty()) faults.push_back(frame.number);
  }
  EXPECT_EQ(reader.frames(), 9);
  EXPECT_EQ(faults, std::vector<std::int64_t>{4});
}

TEST_F(VideoTest, LargerFramesThanWantedAreNoPictures) {
  write_video(folder / "a.avi", 2);
  DecodeOptions options;
  options.max_pixels = 1000;
  VideoReader reader((folder / "a.avi").string(), 1, options);
  for (const auto& frame : frames_of(reader)) {
    EXPECT_TRUE(contains(frame.fault, "--max-pixels")) << frame.fault;
  }
}

TEST_F(VideoTest, OfALiveSourceTheNewestFrameComes) {
  write_jpeg(folder / "frame.jpg", frame_of(9));
  const testing::Camera camera(slurp(folder / "frame.jpg"), 60);
  VideoReader reader(camera.url());
  EXPECT_TRUE(reader.live());
  const auto first = reader.next();
  ASSERT_TRUE(first.has_value());
  EXPECT_EQ(number_of(first->rgb), 9);
  EXPECT_GT(first->taken, 1'700'000'000);
  std::this_thread::sleep_for(std::chrono::milliseconds(400));  // some twenty frames
  const auto second = reader.next();
  ASSERT_TRUE(second.has_value());
  EXPECT_GT(second->number, first->number + 8);
  // One that comes from now on.
  std::this_thread::sleep_for(std::chrono::milliseconds(100));
  const std::int64_t before = reader.frames();
  reader.forget();
  const auto third = reader.next();
  ASSERT_TRUE(third.has_value());
  EXPECT_GE(third->number, before);
  while (reader.next()) {
  }
  EXPECT_TRUE(reader.ended());
  EXPECT_EQ(reader.frames(), 60);
}

TEST_F(VideoTest, WhatCannotBeOpenedSaysWhy) {
  EXPECT_TRUE(contains(refused((folder / "none.mp4").string()), "there is no such file"));
  EXPECT_TRUE(contains(refused("/dev/video99"), "there is no such camera"));
  EXPECT_TRUE(contains(refused("/dev/null"), "no camera"));
  EXPECT_TRUE(contains(refused(folder.path().string()), "a folder"));
  spill(folder / "empty.mp4", "");
  EXPECT_TRUE(contains(refused((folder / "empty.mp4").string()), "empty"));
  spill(folder / "text.mp4", std::string(5000, 'x'));
  EXPECT_TRUE(contains(refused((folder / "text.mp4").string()), "no video of a kind"));
  const std::string stream = refused("rtsp://user:geheim@127.0.0.1:9/line");
  EXPECT_TRUE(contains(stream, "'rtsp://127.0.0.1:9/line': ")) << stream;
  EXPECT_TRUE(contains(stream, "refused")) << stream;
  EXPECT_FALSE(contains(stream, "geheim")) << stream;
}

TEST_F(VideoTest, AVideoAppearsWholeOrNotAtAll) {
  {
    VideoWriter writer(folder / "new/a.mp4", 10);
    writer.add(frame_of(1));
    EXPECT_FALSE(fs::exists(folder / "new/a.mp4"));
  }
  EXPECT_FALSE(fs::exists(folder / "new"));  // nothing is left of what was not finished
  {
    VideoWriter writer(folder / "new/a.mp4", 10);
    writer.finish();  // without a frame
  }
  EXPECT_FALSE(fs::exists(folder / "new"));
  write_video(folder / "new/a.mp4", 3);
  EXPECT_EQ(std::distance(fs::directory_iterator(folder / "new"), {}), 1);
}

TEST_F(VideoTest, FramesOfOtherSizesAreFittedIn) {
  VideoWriter writer(folder / "a.avi", 10);
  writer.add(frame_of(9, {63, 47}));  // odd sizes become even
  cv::Mat large;
  cv::resize(frame_of(9), large, {640, 480}, 0, 0, cv::INTER_NEAREST);
  writer.add(large);
  writer.finish();
  VideoReader reader((folder / "a.avi").string());
  const auto frames = frames_of(reader);
  ASSERT_EQ(frames.size(), 2U);
  for (const auto& frame : frames) {
    EXPECT_EQ(frame.rgb.size(), cv::Size(64, 48));
    EXPECT_EQ(number_of(frame.rgb), 9);
  }
}

TEST_F(VideoTest, AVideoThatCannotBeWrittenSaysWhy) {
  EXPECT_TRUE(contains(message_of<ConfigError>([&] { VideoWriter(folder / "a.gif", 10); }),
                       "give .mp4, .mkv or .avi"));
  spill(folder / "file", "");
  EXPECT_NE(message_of<DataError>([&] { VideoWriter(folder / "file/a.mp4", 10); }), "");
}

TEST(ShownSource, HasNoSecrets) {
  EXPECT_EQ(shown_source("rtsp://user:pa@ss@host:554/a@b"), "rtsp://host:554/a@b");
  EXPECT_EQ(shown_source("rtsp://host/a@b"), "rtsp://host/a@b");
  EXPECT_EQ(shown_source("clips/a@b.mp4"), "clips/a@b.mp4");
}

}  // namespace
}  // namespace nagl
