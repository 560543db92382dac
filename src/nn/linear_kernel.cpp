#include "linear_kernel.h"

#include <ATen/Functions.h>
#include <ATen/Parallel.h>

#include <algorithm>

#include "block_product.h"
#include "kernel_check.h"
#include "simd.h"

namespace nagl {
namespace {

constexpr std::int64_t kRows = 64;
constexpr std::int64_t kWideInput = 768;  // above it, fewer columns fit beside the rows

/// Adds the bias, and a row of `other` if there is one, to each row of a block.
NAGL_SIMD void add_rows(float* block, std::int64_t rows, std::int64_t columns, std::int64_t stride,
                        const float* bias, const float* other) {
  for (std::int64_t r = 0; r < rows; ++r) {
    float* row = block + r * stride;
    const float* more = other != nullptr ? other + r * stride : nullptr;
    if (more != nullptr) {
#pragma omp simd
      for (std::int64_t c = 0; c < columns; ++c) row[c] += bias[c] + more[c];
    } else {
#pragma omp simd
      for (std::int64_t c = 0; c < columns; ++c) row[c] += bias[c];
    }
  }
}

}  // namespace

at::Tensor pack_for_blocks(const at::Tensor& weight) {
  check_kernel(is_cpu_float(weight, 2) && weight.numel() > 0, "weights of a block linear layer",
               "not [out, in] float32 on the CPU");
  const std::int64_t outputs = weight.size(0), inputs = weight.size(1);
  const std::int64_t columns = inputs > kWideInput ? 64 : 128;
  if (!has_block_product() || outputs % columns != 0) return {};
  return weight.reshape({outputs / columns, columns, inputs}).transpose(1, 2).contiguous();
}

at::Tensor block_linear(const at::Tensor& input, const at::Tensor& packed, const at::Tensor& bias,
                        const at::Tensor& other) {
  constexpr const char* kName = "block linear layer";
  check_kernel(is_cpu_float(packed, 3) && packed.is_contiguous() && packed.numel() > 0, kName,
               "weights that pack_for_blocks did not pack");
  const std::int64_t panels = packed.size(0), inputs = packed.size(1), columns = packed.size(2);
  const std::int64_t outputs = panels * columns;
  check_kernel(input.dim() > 0 && is_cpu_float(input, input.dim()), kName,
               "an input that is not float32 on the CPU");
  check_kernel(input.size(-1) == inputs, kName, "an input of another width than the weights");
  check_kernel(is_cpu_float(bias, 1) && bias.is_contiguous() && bias.size(0) == outputs, kName,
               "a bias that is not [out] float32 contiguous on the CPU");
  auto sizes = input.sizes().vec();
  sizes.back() = outputs;
  at::Tensor output = at::empty(sizes, input.options());
  check_kernel(
      !other.defined() || (is_cpu_float(other, input.dim()) && other.sizes().equals(sizes)), kName,
      "what is to be added is not of the output's sizes, float32 on the CPU");
  const at::Tensor from = input.contiguous();
  const at::Tensor added = other.defined() ? other.contiguous() : other;
  const std::int64_t rows = from.numel() / inputs, blocks = (rows + kRows - 1) / kRows;
  const auto *in = from.const_data_ptr<float>(), *weights = packed.const_data_ptr<float>(),
             *offsets = bias.const_data_ptr<float>();
  const auto* more = added.defined() ? added.const_data_ptr<float>() : nullptr;
  auto* out = output.data_ptr<float>();
  // Block after block of one panel, which stays in the cache.
  at::parallel_for(0, panels * blocks, 1, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t task = begin; task < end; ++task) {
      const std::int64_t panel = task / blocks, first = task % blocks * kRows;
      const std::int64_t count = std::min(kRows, rows - first);
      const std::int64_t place = first * outputs + panel * columns;
      block_product(count, columns, inputs, in + first * inputs, inputs,
                    weights + panel * inputs * columns, columns, out + place, outputs);
      add_rows(out + place, count, columns, outputs, offsets + panel * columns,
               more != nullptr ? more + place : nullptr);
    }
    release_block_product();
  });
  return output;
}

}  // namespace nagl
