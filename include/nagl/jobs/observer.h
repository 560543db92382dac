#pragma once

#include <cstdint>
#include <functional>
#include <string>

namespace nagl::jobs {

/// How much a message matters.
enum class Level { kInfo, kWarning, kError };

/// Asked between pictures and steps; true ends the job as soon as what it holds is safe.
using StopToken = std::function<bool()>;

/// What a job tells while it goes on. Any may be empty; all are called in the thread that runs the
/// job.
struct JobObserver {
  std::function<void(Level level, const std::string& text)> message;
  /// A stage goes on, which begins with what was done before: `encoding`, 0 of 12.
  std::function<void(const std::string& stage, std::int64_t done, std::int64_t total)> progress;
  StopToken stop;

  void info(const std::string& text) const { tell(Level::kInfo, text); }
  void warn(const std::string& text) const { tell(Level::kWarning, text); }
  void error(const std::string& text) const { tell(Level::kError, text); }
  void advance(const std::string& stage, std::int64_t done, std::int64_t total) const {
    if (progress) progress(stage, done, total);
  }
  bool stopped() const { return stop && stop(); }

 private:
  void tell(Level level, const std::string& text) const {
    if (message) message(level, text);
  }
};

}  // namespace nagl::jobs
