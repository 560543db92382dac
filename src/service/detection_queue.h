#pragma once

#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <deque>
#include <future>
#include <memory>
#include <mutex>
#include <stdexcept>
#include <thread>

#include "bank_shelf.h"
#include "nagl/detection/detector.h"

namespace nagl::service {

using Clock = std::chrono::steady_clock;

/// A picture waited longer than its client was to wait.
struct WaitedTooLong : std::runtime_error {
  WaitedTooLong() : std::runtime_error("too many pictures came before; try again later") {}
};

/// Scores pictures one batch after the other, in a thread of its own: what has come together for
/// one bank is a batch where the device gains by that. How many may wait is the caller's to bound.
class DetectionQueue {
 public:
  /// @param batch pictures scored at once, at most
  explicit DetectionQueue(std::size_t batch);
  /// Scores what waits.
  ~DetectionQueue();

  /// @param deadline not scored later than this
  /// @return the detection; or DataError on a picture that cannot be scored, WaitedTooLong
  std::future<Detection> add(std::shared_ptr<const ServedBank> bank, Image image,
                             Clock::time_point deadline);

  std::size_t waiting() const;

 private:
  struct Item {
    std::shared_ptr<const ServedBank> bank;
    Query query;
    Clock::time_point deadline;
    std::promise<Detection> promise;
  };

  void work();
  /// The next batch: pictures of one bank, in the order in which they came. Empty: the end.
  std::vector<Item> next();
  static void score(std::vector<Item>& batch);
  static void score(Item& item);

  const std::size_t batch_;
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<Item> waiting_;
  bool ending_ = false;
  std::thread worker_;  // the last, since it uses all of them
};

}  // namespace nagl::service
