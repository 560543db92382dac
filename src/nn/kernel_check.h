#pragma once

#include <ATen/core/Tensor.h>

#include <stdexcept>
#include <string>

namespace nagl {

/// Kernels read plain pointers, so they look first whether a tensor is what they take it for.
/// Throws std::invalid_argument that begins with `kernel` unless `holds`.
inline void check_kernel(bool holds, const char* kernel, const char* what) {
  if (!holds) throw std::invalid_argument(std::string(kernel) + ": " + what);
}

/// Whether a tensor is float32 on the CPU, of `dimensions`.
inline bool is_cpu_float(const at::Tensor& tensor, std::int64_t dimensions) {
  return tensor.defined() && tensor.is_cpu() && tensor.scalar_type() == at::kFloat &&
         tensor.dim() == dimensions;
}

}  // namespace nagl
