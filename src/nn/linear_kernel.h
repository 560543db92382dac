#pragma once

#include <ATen/core/Tensor.h>

namespace nagl {

/// A linear layer on the CPU, by blocks of rows and columns that stay in a core's cache, in
/// float32, or in bfloat16 with float32 sums and bias. (oneDNN's own float32 layers take a kernel,
/// `gemm:jit`, that keeps data in the stack pointer: a signal that arrives meanwhile writes over
/// memory. Block products do not.)

/// The weights in the order that `block_linear` reads.
/// @param weight [out, in] float32 or bfloat16 on the CPU
/// @return [out / columns, in, columns], of bfloat16 [out / columns, in / 2, columns, 2]; undefined
/// where there are no block products of the type, `out` is no multiple of what a block has, or
/// `in` of bfloat16 is odd
/// @throws std::invalid_argument of other weights
at::Tensor pack_for_blocks(const at::Tensor& weight);

/// `input W^T + b`, and `other` added if it is defined.
/// @param input [..., in] of the weights' type @param packed of `pack_for_blocks`
/// @param bias [out] float32 @param other [..., out] of the weights' type
/// @throws std::invalid_argument where they do not fit together, or are not on the CPU
at::Tensor block_linear(const at::Tensor& input, const at::Tensor& packed, const at::Tensor& bias,
                        const at::Tensor& other = {});

/// GELU, exact, of `input W^T + b`.
at::Tensor block_linear_gelu(const at::Tensor& input, const at::Tensor& packed,
                             const at::Tensor& bias);

}  // namespace nagl
