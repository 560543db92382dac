#pragma once

#include <torch/torch.h>

namespace nagl {

/// A linear layer whose weights change no more, with what follows it done in the same pass where
/// the processor has it: on the CPU, in float32 and bfloat16, oneDNN holds the weights in the order
/// that its kernels read. Immutable, so safe to use from several threads.
class FrozenLinear {
 public:
  FrozenLinear() = default;
  /// Takes the weights of `layer`, which is left without any.
  explicit FrozenLinear(torch::nn::Linear layer);

  /// @param input [..., in] of the weights' type @return `input W^T + b` [..., out]
  at::Tensor forward(const at::Tensor& input) const;
  /// GELU, exact, of `forward`.
  at::Tensor forward_gelu(const at::Tensor& input) const;
  /// `other + forward`. @param other [..., out]
  at::Tensor forward_add(const at::Tensor& input, const at::Tensor& other) const;

 private:
  at::Tensor weight_, bias_;
  bool packed_ = false;
};

}  // namespace nagl
