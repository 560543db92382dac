#pragma once

#include <chrono>
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

}  // namespace nagl
