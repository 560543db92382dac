#include "nagl/jobs/query_stream.h"

#include <fcntl.h>
#include <unistd.h>

#include <thread>

#include "nagl/core/error.h"
#include "support.h"

namespace nagl::jobs {
namespace {

namespace fs = std::filesystem;
using testing::message_of;
using testing::spill;
using testing::TemporaryFolder;

/// What a list of paths gives until it ends.
std::vector<std::string> paths_of(const std::string& text, StopToken stop = {}) {
  const TemporaryFolder folder;
  spill(folder / "list", text);
  const int descriptor = ::open((folder / "list").c_str(), O_RDONLY);
  PathList list(descriptor, std::move(stop));
  std::vector<std::string> paths;
  try {
    while (const auto picture = list.next()) paths.push_back(picture->file.path.string());
  } catch (...) {
    ::close(descriptor);
    throw;
  }
  ::close(descriptor);
  return paths;
}

TEST(PathList, GivesALineEach) {
  EXPECT_EQ(paths_of("a.png\n\nb c.png\r\n/d/e.png"),
            (std::vector<std::string>{"a.png", "b c.png", "/d/e.png"}));
  EXPECT_TRUE(paths_of("").empty());
  EXPECT_TRUE(paths_of("\n\n").empty());
}

TEST(PathList, StopsWhenAsked) {
  int asked = 0;
  EXPECT_EQ(paths_of("a\nb\nc\nd\n", [&] { return ++asked > 3; }).size(), 2U);
}

TEST(PathList, ALineWithoutAnEndIsNoPath) {
  const auto message = message_of<DataError>([] { paths_of(std::string(1 << 18, 'x')); });
  EXPECT_NE(message.find("no end"), std::string::npos) << message;
}

/// A watch that gives up after a while.
class FolderWatchTest : public ::testing::Test {
 protected:
  FolderWatchTest() {
    observer_.stop = [this] { return std::chrono::steady_clock::now() > until_; };
  }
  /// The next picture within so many seconds; empty if none comes.
  std::string next(FolderWatch& watch, double seconds = 5) {
    until_ = std::chrono::steady_clock::now() +
             std::chrono::milliseconds(static_cast<int>(1000 * seconds));
    const auto picture = watch.next();
    return picture ? picture->file.relative().string() : "";
  }

  TemporaryFolder folder_;
  JobObserver observer_;
  std::chrono::steady_clock::time_point until_;
};

TEST_F(FolderWatchTest, GivesWhatIsThereAndWhatComes) {
  spill(folder_ / "b.png", "1");
  spill(folder_ / "a.png", "2");
  spill(folder_ / "notes.txt", "no picture");
  spill(folder_ / ".hidden" / "c.png", "3");
  FolderWatch watch(folder_.path(), 0.2, observer_);
  EXPECT_EQ(next(watch), "a.png");
  EXPECT_EQ(next(watch), "b.png");
  spill(folder_ / "line 2" / "d.jpg", "4");
  EXPECT_EQ(next(watch), "line 2/d.jpg");
  EXPECT_EQ(next(watch, 0.7), "");
}

TEST_F(FolderWatchTest, WaitsUntilAFileHasSettledAndSeesChanges) {
  FolderWatch watch(folder_.path(), 0.4, observer_);
  std::thread writer([&] {
    for (int i = 1; i <= 5; ++i) {
      spill(folder_ / "a.png", std::string(static_cast<std::size_t>(i), 'x'));
      std::this_thread::sleep_for(std::chrono::milliseconds(150));
    }
  });
  EXPECT_EQ(next(watch), "a.png");
  EXPECT_EQ(fs::file_size(folder_ / "a.png"), 5U);  // not before it was whole
  writer.join();
  spill(folder_ / "a.png", "changed since");
  EXPECT_EQ(next(watch), "a.png");
}

TEST_F(FolderWatchTest, WhatFailedIsOfferedOnceMore) {
  spill(folder_ / "a.png", "half");
  FolderWatch watch(folder_.path(), 0.1, observer_);
  EXPECT_EQ(next(watch), "a.png");
  watch.failed();
  until_ = std::chrono::steady_clock::now() + std::chrono::seconds(5);
  const auto again = watch.next();
  ASSERT_TRUE(again);
  EXPECT_TRUE(again->last_try);
  EXPECT_EQ(next(watch, 0.5), "");
}

TEST_F(FolderWatchTest, AFolderMustBeThere) {
  const auto message =
      message_of<DataError>([&] { FolderWatch(folder_ / "absent", 1, observer_); });
  EXPECT_NE(message.find("absent"), std::string::npos) << message;
}

}  // namespace
}  // namespace nagl::jobs
