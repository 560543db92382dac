#pragma once

#include <torch/nn/modules/linear.h>

#include "nagl/core/torch.h"

namespace nagl {

/// A linear layer whose weights change no more, with what follows it done in the same pass where
/// the processor has it: on the CPU the weights stand in the order that kernels read, those of
/// src/nn/linear_kernel.h or, in bfloat16 on processors without units for it, oneDNN's. Immutable,
/// so safe to use from several threads.
class FrozenLinear {
 public:
  FrozenLinear() = default;
  /// Takes the weights of `layer`, which is left without any.
  explicit FrozenLinear(torch::nn::Linear layer);

  /// @param input [..., in] of the weights' type @return `input W^T + b` [..., out]
  at::Tensor forward(const at::Tensor& input) const;
  /// GELU of `forward`: exact, but on CUDA below float32 by its tanh form.
  at::Tensor forward_gelu(const at::Tensor& input) const;
  /// `other + forward`. @param other [..., out]
  at::Tensor forward_add(const at::Tensor& input, const at::Tensor& other) const;

 private:
  enum class Form { kPlain, kBlocks, kPacked };

  at::Tensor weight_, bias_;
  Form form_ = Form::kPlain;
};

}  // namespace nagl
