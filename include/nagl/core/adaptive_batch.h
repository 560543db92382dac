#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <optional>
#include <vector>

#include "nagl/core/torch.h"

namespace nagl {

/// Takes a step over batches of what fits into a device's memory: where it does not, the batch is
/// halved, now and from then on. Safe to use from several threads.
class AdaptiveBatch {
 public:
  using SeveralStep = std::function<std::vector<at::Tensor>(const at::Tensor&)>;

  /// @param shrunk is told the new largest batch each time that it shrinks; may be empty
  explicit AdaptiveBatch(std::function<void(std::int64_t)> shrunk = {})
      : shrunk_(std::move(shrunk)) {}

  /// The results of `step` for `input`, cut along its first side where needed.
  /// @throws c10::Error as `step`; for want of memory (`is_out_of_memory`) only if a single picture
  /// does not fit, or all results together do not
  at::Tensor run(const at::Tensor& input, const std::function<at::Tensor(const at::Tensor&)>& step);
  /// The same of a step that gives several tensors, always as many.
  std::vector<at::Tensor> run_several(const at::Tensor& input, const SeveralStep& step);

  /// The largest batch that is tried; 0: any.
  std::int64_t most() const { return most_; }

 private:
  /// @return nothing if there was too little memory for a batch of several
  std::optional<std::vector<at::Tensor>> attempt(const at::Tensor& input, const SeveralStep& step);

  std::atomic<std::int64_t> most_ = 0;
  std::function<void(std::int64_t)> shrunk_;
};

}  // namespace nagl
