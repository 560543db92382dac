#pragma once

#include <ATen/core/Tensor.h>

namespace nagl {

/// A linear layer in float32 on the CPU, by blocks of rows and columns that stay in a core's cache.
/// (oneDNN's own float32 layers take a kernel, `gemm:jit`, that keeps data in the stack pointer: a
/// signal that arrives meanwhile writes over memory. Block products do not.)

/// The weights in the order that `block_linear` reads.
/// @param weight [out, in] float32 on the CPU
/// @return [out / columns, in, columns]; undefined where there are no block products, or `out` is
/// no multiple of what a block has
/// @throws std::invalid_argument of other weights
at::Tensor pack_for_blocks(const at::Tensor& weight);

/// `input W^T + b`, and `other` added if it is defined.
/// @param input [..., in] float32 @param packed of `pack_for_blocks` @param bias [out]
/// @param other [..., out]
/// @throws std::invalid_argument where they do not fit together, or are not float32 on the CPU
at::Tensor block_linear(const at::Tensor& input, const at::Tensor& packed, const at::Tensor& bias,
                        const at::Tensor& other = {});

}  // namespace nagl
