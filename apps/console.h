#pragma once

#include <memory>
#include <string>

#include "nagl/core/progress.h"
#include "nagl/jobs/observer.h"

namespace nagl::apps {

/// Shows a person what a job tells: messages on stderr, and a line of progress where that is a
/// terminal. SIGINT, SIGTERM and SIGHUP stop the job.
class Console {
 public:
  /// Catches interrupts from now on.
  Console();

  /// For the job; the console must outlive it.
  template <typename Observer = jobs::JobObserver>
  Observer observer() {
    Observer observer;
    observer.message = [this](jobs::Level level, const std::string& text) { say(level, text); };
    observer.progress = [this](const std::string& stage, std::int64_t done, std::int64_t total) {
      advance(stage, done, total);
    };
    observer.stop = stopped;
    return observer;
  }

  /// Takes the progress away, so that other output starts on a clean line.
  void clear();

 private:
  static bool stopped();
  void say(jobs::Level level, const std::string& text);
  void advance(const std::string& stage, std::int64_t done, std::int64_t total);

  std::string stage_;
  std::unique_ptr<Progress> progress_;
};

}  // namespace nagl::apps
