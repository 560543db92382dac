#include "nagl/core/adaptive_batch.h"

#include <ATen/DeviceAccelerator.h>

#include <algorithm>

#include "nagl/core/device.h"

namespace nagl {

std::optional<std::vector<at::Tensor>> AdaptiveBatch::attempt(const at::Tensor& input,
                                                              const SeveralStep& step) {
  try {
    return step(input);
  } catch (const c10::Error& error) {
    if (input.size(0) == 1 || !is_out_of_memory(error)) throw;
    // Libraries that take memory beside Torch's allocator do not make it give back what it keeps.
    if (!input.is_cpu()) at::getDeviceAllocator(input.device().type())->emptyCache();
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
  std::vector<at::Tensor> whole;  // the results of all rows
  for (std::int64_t begin = 0; begin < total;) {
    const std::int64_t most = most_, left = total - begin;
    const std::int64_t count = most == 0 ? left : std::min(most, left);
    const auto results =
        attempt(count == total ? input : input.slice(0, begin, begin + count), step);
    if (results) {
      if (count == total) return *results;
      for (std::size_t i = 0; i < results->size(); ++i) {
        const at::Tensor& part = (*results)[i];
        if (whole.size() == i) {
          auto sizes = part.sizes().vec();
          sizes[0] = total;
          whole.push_back(at::empty(sizes, part.options()));
        }
        whole[i].slice(0, begin, begin + count).copy_(part);
      }
      begin += count;
      continue;
    }
    // Here all that the step held is freed. Another thread may have halved already.
    std::int64_t expected = most;
    if (most_.compare_exchange_strong(expected, count / 2) && shrunk_) shrunk_(count / 2);
  }
  return whole;
}

}  // namespace nagl
