#include "nagl/core/duration.h"

#include <thread>

#include "support.h"

namespace nagl {
namespace {

TEST(Duration, IsWritten) {
  EXPECT_EQ(format_duration(7.4), "0:07");
  EXPECT_EQ(format_duration(754), "12:34");
  EXPECT_EQ(format_duration(3723), "1:02:03");
  EXPECT_EQ(format_duration(-1), "0:00");
}

TEST(Stopwatch, RunsOn) {
  const Stopwatch watch;
  const double first = watch.seconds();
  EXPECT_GE(first, 0);
  std::this_thread::sleep_for(std::chrono::milliseconds(5));
  EXPECT_GE(watch.seconds(), first + 0.005);
}

TEST(Duration, MomentsInUtc) {
  EXPECT_EQ(utc_time(0), "1970-01-01T00:00:00Z");
  EXPECT_EQ(utc_time(1767225599), "2025-12-31T23:59:59Z");
}

}  // namespace
}  // namespace nagl
