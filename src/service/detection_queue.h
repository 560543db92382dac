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
#include <vector>

#include "bank_shelf.h"
#include "nagl/detection/detector.h"

namespace nagl::service {

using Clock = std::chrono::steady_clock;

/// A picture waited longer than its client was to wait.
struct WaitedTooLong : std::runtime_error {
  WaitedTooLong() : std::runtime_error("too many pictures came before; try again later") {}
};

/// How pictures are scored at once: on a device in batches, on a processor by several workers,
/// which share its threads: a lone picture gets all of them, of many each gets one, since then no
/// thread waits for another.
struct Concurrency {
  std::size_t batch = 1;    ///< pictures of one bank scored together, at most
  std::size_t workers = 1;  ///< that score at once, at most
  int threads = 1;          ///< of Torch, for all of them

  std::size_t pictures() const { return batch * workers; }
};

/// What suits where the encoder computes.
Concurrency concurrency_of(const PictureEncoder& encoder);

/// Scores pictures in threads of its own. How many may wait is the caller's to bound. Safe to use
/// from several threads.
class DetectionQueue {
 public:
  explicit DetectionQueue(const Concurrency& concurrency);
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

  /// Pictures of one bank, in the order in which they came, and how many threads they get.
  struct Batch {
    std::vector<Item> items;
    int threads = 1;
  };

  void work();
  /// Waits for a batch. @return without items: the end
  Batch next();
  static void score(std::vector<Item>& batch);
  static void score(Item& item);

  const Concurrency concurrency_;
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<Item> waiting_;
  std::size_t working_ = 0;  ///< workers that score
  bool ending_ = false;
  std::vector<std::thread> workers_;  // the last, since they use all of them
};

}  // namespace nagl::service
