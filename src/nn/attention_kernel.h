#pragma once

#include <ATen/core/Tensor.h>

namespace nagl {

/// Self-attention of many tokens on the CPU: softmax(Q K^T / sqrt(d)) V, where the logits of a
/// block of queries live and die in a core's cache (Dao et al., 2022, arXiv 2205.14135, without
/// their rescaling: a row of logits fits).
/// @param qkv [B, T, 3, heads, d] float32 or bfloat16, contiguous on the CPU; of bfloat16 logits
/// and sums are float32 all the same
/// @return [B, T, heads * d] of the same type; undefined where the processor has no block product
/// of it, or `d` of bfloat16 is odd
/// @throws std::invalid_argument of another `qkv`
at::Tensor block_attention(const at::Tensor& qkv);

}  // namespace nagl
