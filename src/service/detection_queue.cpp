#include "detection_queue.h"

#include <ATen/Parallel.h>
#include <fmt/format.h>

#include <algorithm>
#include <exception>
#include <utility>
#include <vector>

#include "nagl/core/error.h"
#include "nagl/detection/failure.h"

namespace nagl::service {
namespace {

/// More would take much memory for little: each has the activations of a picture.
constexpr int kMostWorkers = 8;

}  // namespace

Concurrency concurrency_of(const PictureEncoder& encoder) {
  Concurrency suited;
  suited.threads = at::get_num_threads();
  if (encoder.backbone().device().is_cpu()) {
    suited.workers = static_cast<std::size_t>(std::clamp(suited.threads, 1, kMostWorkers));
  } else {
    suited.batch = static_cast<std::size_t>(encoder.batch_size());
  }
  return suited;
}

DetectionQueue::DetectionQueue(const Concurrency& concurrency) : concurrency_(concurrency) {
  for (std::size_t i = 0; i < concurrency.workers; ++i) workers_.emplace_back([this] { work(); });
}

DetectionQueue::~DetectionQueue() {
  {
    const std::lock_guard lock(mutex_);
    ending_ = true;
  }
  changed_.notify_all();
  for (auto& worker : workers_) worker.join();
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
    Batch batch = next();
    if (batch.items.empty()) return;
    at::set_num_threads(batch.threads);  // of this worker's
    score(batch.items);
    const std::lock_guard lock(mutex_);
    --working_;
  }
}

DetectionQueue::Batch DetectionQueue::next() {
  std::unique_lock lock(mutex_);
  for (;;) {
    changed_.wait(lock, [this] { return ending_ || !waiting_.empty(); });
    if (waiting_.empty()) return {};
    Batch batch;
    auto& items = batch.items;
    for (auto item = waiting_.begin();
         item != waiting_.end() && items.size() < concurrency_.batch;) {
      const bool late = item->deadline < Clock::now();
      if (late) item->promise.set_exception(std::make_exception_ptr(WaitedTooLong()));
      const bool fits = !late && (items.empty() || item->bank == items.front().bank);
      if (fits) items.push_back(std::move(*item));
      item = late || fits ? waiting_.erase(item) : std::next(item);
    }
    if (items.empty()) continue;
    ++working_;
    const std::size_t sharing = std::min(working_ + waiting_.size(), concurrency_.workers);
    batch.threads = std::max(1, concurrency_.threads / static_cast<int>(sharing));
    return batch;
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
