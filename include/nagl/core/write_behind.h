#pragma once

#include <omp.h>

#include <cstddef>
#include <deque>
#include <exception>
#include <functional>
#include <future>
#include <utility>

namespace nagl {

/// Works on items one after the other, some at a time, in threads beside the caller's own work, and
/// hands the results over on the caller's thread in the order in which the items came.
template <typename Result>
class WriteBehind {
 public:
  /// @param done is given each result, in order
  /// @param most items in the making; 0: each is worked on when it comes, by the caller
  WriteBehind(std::function<void(Result)> done, std::size_t most)
      : done_(std::move(done)), most_(most) {}
  WriteBehind(const WriteBehind&) = delete;
  WriteBehind& operator=(const WriteBehind&) = delete;

  /// Waits where as many as may be are in the making.
  /// @throws what the work on an earlier item threw, or with none in the making on this
  void add(std::function<Result()> work) {
    if (most_ == 0) return done_(work());
    if (making_.size() == most_) hand_over();
    making_.push_back(std::async(std::launch::async, [work = std::move(work)] {
      omp_set_num_threads(1);  // of this thread's own work: the others are busy
      return work();
    }));
  }

  /// Waits for all. @throws as `add`
  void finish() {
    while (!making_.empty()) hand_over();
  }

  /// Waits for all, and leaves out those that failed: after a failure that was told.
  void finish_what_works() {
    while (!making_.empty()) {
      try {
        hand_over();
      } catch (const std::exception&) {
      }
    }
  }

 private:
  void hand_over() {
    std::future<Result> result = std::move(making_.front());
    making_.pop_front();
    done_(result.get());
  }

  std::function<void(Result)> done_;
  std::size_t most_;
  std::deque<std::future<Result>> making_;  ///< the last member: its destructor waits for all
};

}  // namespace nagl
