#pragma once

#include <ATen/Parallel.h>
#include <c10/core/Device.h>
#include <omp.h>

#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <future>
#include <utility>

#include "nagl/core/threads.h"

namespace nagl {

/// How many items of a batch to read ahead: one more than a batch where a processor is free for it.
/// Where Torch's threads keep all of them busy, each waits for the one that was disturbed.
inline std::size_t items_ahead(std::int64_t batch, c10::Device device) {
  const bool free = !device.is_cpu() || usable_processors() > at::get_num_threads();
  return free ? static_cast<std::size_t>(batch) + 1 : 0;
}

/// Reads items one after the other, some ahead of time, in threads beside the caller's own work.
template <typename Item>
class ReadAhead {
 public:
  /// @param read makes item 0, 1, ... `count` - 1, in any thread, several at once
  /// @param ahead how many are read before they are asked for; 0: each when it is, by the caller
  ReadAhead(std::size_t count, std::function<Item(std::size_t)> read, std::size_t ahead)
      : count_(count), read_(std::move(read)) {
    for (std::size_t i = 0; i < ahead; ++i) start();
  }
  ReadAhead(const ReadAhead&) = delete;
  ReadAhead& operator=(const ReadAhead&) = delete;

  /// The next item; not more than `count` times. @throws what `read` threw for it
  Item next() {
    if (waiting_.empty()) return read_(started_++);
    std::future<Item> item = std::move(waiting_.front());
    waiting_.pop_front();
    start();
    return item.get();
  }

 private:
  void start() {
    if (started_ == count_) return;
    waiting_.push_back(std::async(std::launch::async, [this, index = started_++] {
      omp_set_num_threads(1);  // of this thread's own work: the others are busy
      return read_(index);
    }));
  }

  std::size_t count_, started_ = 0;
  std::function<Item(std::size_t)> read_;
  std::deque<std::future<Item>> waiting_;  ///< the last member: its destructor waits for all
};

}  // namespace nagl
