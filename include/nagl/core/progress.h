#pragma once

#include <chrono>
#include <cstdint>
#include <string>

namespace nagl {

/// One line of progress with the time left on stderr, e.g. `scoring 12/100  3.1/s  0:28 left`.
/// Shown only where stderr is a terminal, redrawn at most ten times a second, and erased by `clear`
/// (or the destructor), so that other output starts on a clean line.
class Progress {
 public:
  /// @param done what was done in an earlier sitting, and does not count for the rate
  Progress(std::string what, std::int64_t total, std::int64_t done = 0);
  ~Progress();
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  void update(std::int64_t done);
  void clear();

 private:
  using Clock = std::chrono::steady_clock;

  std::string what_;
  std::int64_t total_, before_;
  Clock::time_point start_;
  Clock::time_point drawn_{};
  bool visible_ = false;
  bool terminal_;
};

}  // namespace nagl
