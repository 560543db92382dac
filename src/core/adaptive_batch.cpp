#include "nagl/core/adaptive_batch.h"

#include <algorithm>
#include <vector>

namespace nagl {

at::Tensor AdaptiveBatch::attempt(const at::Tensor& input,
                                  const std::function<at::Tensor(const at::Tensor&)>& step) {
  try {
    return step(input);
  } catch (const c10::OutOfMemoryError&) {
    if (input.size(0) == 1) throw;
    return {};
  }
}

at::Tensor AdaptiveBatch::run(const at::Tensor& input,
                              const std::function<at::Tensor(const at::Tensor&)>& step) {
  const std::int64_t total = input.size(0);
  if (total == 0) return step(input);
  std::vector<at::Tensor> parts;
  for (std::int64_t begin = 0; begin < total;) {
    const std::int64_t most = most_, left = total - begin;
    const std::int64_t count = most == 0 ? left : std::min(most, left);
    auto part = attempt(count == total ? input : input.slice(0, begin, begin + count), step);
    if (part.defined()) {
      parts.push_back(std::move(part));
      begin += count;
      continue;
    }
    // Here all that the step held is freed. Another thread may have halved already.
    std::int64_t expected = most;
    if (most_.compare_exchange_strong(expected, count / 2) && shrunk_) shrunk_(count / 2);
  }
  return parts.size() == 1 ? parts.front() : at::cat(parts);
}

}  // namespace nagl
