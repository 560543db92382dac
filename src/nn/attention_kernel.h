#pragma once

#include <ATen/core/Tensor.h>

namespace nagl {

/// Self-attention of many tokens on the CPU: softmax(Q K^T / sqrt(d)) V, where the logits of a
/// block of queries live and die in a core's cache (Dao et al., 2022, arXiv 2205.14135, without
/// their rescaling: a row of logits fits).
/// @param qkv [B, T, 3, heads, d] float32 contiguous on the CPU
/// @return [B, T, heads * d] float32; undefined where the processor has no block product
/// @throws std::invalid_argument of another `qkv`
at::Tensor block_attention(const at::Tensor& qkv);

}  // namespace nagl
