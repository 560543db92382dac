#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <list>
#include <mutex>
#include <system_error>

namespace nagl {

/// What was made of the last few files, for files that are asked for again and again, part by part.
/// A file that was written since is another one. May be used by several threads; those that ask for
/// the same file wait for it.
template <typename Value>
class RecentFiles {
 public:
  explicit RecentFiles(std::size_t most) : most_(most) {}

  /// @param make gives the value of a file that is not remembered; what it throws is passed on
  template <typename Make>
  Value get(const std::filesystem::path& file, Make&& make) {
    std::error_code error;
    const auto written = std::filesystem::last_write_time(file, error);
    const auto size = std::filesystem::file_size(file, error);
    const std::lock_guard lock(mutex_);
    const auto found = std::find_if(known_.begin(), known_.end(), [&](const Known& one) {
      return one.file == file && one.written == written && one.size == size;
    });
    if (!error && found != known_.end()) {
      known_.splice(known_.begin(), known_, found);
    } else {
      known_.push_front({file, written, size, make()});
      if (known_.size() > most_) known_.pop_back();
    }
    return known_.front().value;
  }

 private:
  struct Known {
    std::filesystem::path file;
    std::filesystem::file_time_type written;
    std::uintmax_t size = 0;
    Value value;
  };

  std::size_t most_;
  std::mutex mutex_;
  std::list<Known> known_;  ///< the latest first
};

}  // namespace nagl
