#pragma once

#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "nagl/jobs/observer.h"

namespace nagl::service {

/// Messages of many threads, for the one that tells them.
class Notices {
 public:
  void add(jobs::Level level, std::string text) {
    const std::lock_guard lock(mutex_);
    if (waiting_.size() < kMost) waiting_.emplace_back(level, std::move(text));
  }
  /// For what tells from any thread; this must outlive it.
  jobs::JobObserver observer() {
    jobs::JobObserver observer;
    observer.message = [this](jobs::Level level, const std::string& text) { add(level, text); };
    return observer;
  }
  /// Tells what has gathered.
  void tell(const jobs::JobObserver& observer) {
    std::vector<std::pair<jobs::Level, std::string>> gathered;
    {
      const std::lock_guard lock(mutex_);
      gathered.swap(waiting_);
    }
    for (const auto& [level, text] : gathered) {
      if (observer.message) observer.message(level, text);
    }
  }

 private:
  static constexpr std::size_t kMost = 100;  ///< between two tellings; the rest would be no news

  std::mutex mutex_;
  std::vector<std::pair<jobs::Level, std::string>> waiting_;
};

}  // namespace nagl::service
