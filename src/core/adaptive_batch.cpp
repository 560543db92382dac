#include "nagl/core/adaptive_batch.h"

#include <algorithm>

namespace nagl {

std::optional<std::vector<at::Tensor>> AdaptiveBatch::attempt(const at::Tensor& input,
                                                              const SeveralStep& step) {
  try {
    return step(input);
  } catch (const c10::OutOfMemoryError&) {
    if (input.size(0) == 1) throw;
    return std::nullopt;
  }
}

at::Tensor AdaptiveBatch::run(const at::Tensor& input,
                              const std::function<at::Tensor(const at::Tensor&)>& step) {
  return run_several(input,
                     [&](const at::Tensor& part) { return std::vector<at::Tensor>{step(part)}; })
      .front();
}

std::vector<at::Tensor> AdaptiveBatch::run_several(const at::Tensor& input,
                                                   const SeveralStep& step) {
  const std::int64_t total = input.size(0);
  if (total == 0) return step(input);
  std::vector<std::vector<at::Tensor>> parts;  // of each result
  for (std::int64_t begin = 0; begin < total;) {
    const std::int64_t most = most_, left = total - begin;
    const std::int64_t count = most == 0 ? left : std::min(most, left);
    auto results = attempt(count == total ? input : input.slice(0, begin, begin + count), step);
    if (results) {
      parts.resize(results->size());
      for (std::size_t i = 0; i < parts.size(); ++i) parts[i].push_back((*results)[i]);
      begin += count;
      continue;
    }
    // Here all that the step held is freed. Another thread may have halved already.
    std::int64_t expected = most;
    if (most_.compare_exchange_strong(expected, count / 2) && shrunk_) shrunk_(count / 2);
  }
  std::vector<at::Tensor> whole;
  for (auto& of_one : parts) {
    whole.push_back(of_one.size() == 1 ? of_one.front() : at::cat(of_one));
    of_one.clear();
  }
  return whole;
}

}  // namespace nagl
