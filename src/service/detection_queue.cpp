#include "detection_queue.h"

#include <fmt/format.h>

#include <exception>
#include <utility>
#include <vector>

#include "nagl/core/error.h"
#include "nagl/detection/failure.h"

namespace nagl::service {

DetectionQueue::DetectionQueue(std::size_t batch) : batch_(batch), worker_([this] { work(); }) {}

DetectionQueue::~DetectionQueue() {
  {
    const std::lock_guard lock(mutex_);
    ending_ = true;
  }
  changed_.notify_one();
  worker_.join();
}

std::future<Detection> DetectionQueue::add(std::shared_ptr<const ServedBank> bank, Image image,
                                           Clock::time_point deadline) {
  Item item{std::move(bank), Query(std::move(image)), deadline, {}};
  std::future<Detection> future = item.promise.get_future();
  {
    const std::lock_guard lock(mutex_);
    waiting_.push_back(std::move(item));
  }
  changed_.notify_one();
  return future;
}

std::size_t DetectionQueue::waiting() const {
  const std::lock_guard lock(mutex_);
  return waiting_.size();
}

void DetectionQueue::work() {
  for (;;) {
    std::vector<Item> batch = next();
    if (batch.empty()) return;
    score(batch);
  }
}

std::vector<DetectionQueue::Item> DetectionQueue::next() {
  std::unique_lock lock(mutex_);
  for (;;) {
    changed_.wait(lock, [this] { return ending_ || !waiting_.empty(); });
    if (waiting_.empty()) return {};
    std::vector<Item> batch;
    for (auto item = waiting_.begin(); item != waiting_.end() && batch.size() < batch_;) {
      const bool late = item->deadline < Clock::now();
      if (late) item->promise.set_exception(std::make_exception_ptr(WaitedTooLong()));
      const bool fits = !late && (batch.empty() || item->bank == batch.front().bank);
      if (fits) batch.push_back(std::move(*item));
      item = late || fits ? waiting_.erase(item) : std::next(item);
    }
    if (!batch.empty()) return batch;
  }
}

void DetectionQueue::score(std::vector<Item>& batch) {
  if (batch.size() == 1) return score(batch.front());
  std::vector<Query> queries;
  for (const auto& item : batch) queries.push_back(item.query);
  std::vector<Detection> found;
  try {
    found = batch.front().bank->detector.detect(queries);
  } catch (const std::exception&) {  // one of them is at fault, and the others need not know
    for (auto& item : batch) score(item);
    return;
  }
  for (std::size_t i = 0; i < batch.size(); ++i) batch[i].promise.set_value(std::move(found[i]));
}

void DetectionQueue::score(Item& item) {
  try {
    Detection found;
    const auto failure = failure_of([&] { found = item.bank->detector.detect(item.query); });
    if (failure) {
      throw DataError(fmt::format("'{}' {}", item.query.image.path.string(), *failure));
    }
    item.promise.set_value(std::move(found));
  } catch (...) {
    item.promise.set_exception(std::current_exception());
  }
}

}  // namespace nagl::service
