#pragma once

#include <chrono>
#include <cstdint>
#include <string>

namespace nagl {

/// The time since it was made.
class Stopwatch {
 public:
  double seconds() const { return std::chrono::duration<double>(Clock::now() - start_).count(); }

 private:
  using Clock = std::chrono::steady_clock;

  Clock::time_point start_ = Clock::now();
};

/// Seconds as `0:07`, `12:34` or `1:02:03`.
std::string format_duration(double seconds);

/// A moment as `2026-01-31T12:34:56Z`. @param seconds since 1970, UTC
std::string utc_time(std::int64_t seconds);

}  // namespace nagl
