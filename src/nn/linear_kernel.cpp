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
constexpr std::int64_t kWidestPanel = 128;
constexpr const char* kName = "block linear layer";

/// What is done to the sums and the bias.
enum class Then { kNothing, kGelu, kAdd };

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

/// The same of a block that is in one piece, with `other` in bfloat16.
NAGL_SIMD void add_halves(float* block, std::int64_t rows, std::int64_t columns, const float* bias,
                          const std::uint16_t* other, std::int64_t stride) {
  for (std::int64_t r = 0; r < rows; ++r) {
    float* row = block + r * columns;
    const std::uint16_t* more = other + r * stride;
#pragma omp simd
    for (std::int64_t c = 0; c < columns; ++c) row[c] += bias[c] + from_bfloat16(more[c]);
  }
}

NAGL_SIMD void gelu_rows(float* block, std::int64_t rows, std::int64_t columns, const float* bias) {
  for (std::int64_t r = 0; r < rows; ++r) {
    float* row = block + r * columns;
#pragma omp simd
    for (std::int64_t c = 0; c < columns; ++c) row[c] = gelu(row[c] + bias[c]);
  }
}

bool is_usable(const at::Tensor& tensor) {
  return tensor.defined() && tensor.is_cpu() &&
         (tensor.scalar_type() == at::kFloat || tensor.scalar_type() == at::kBFloat16);
}

/// Calls `block(panel, first row, rows)` for all blocks, one panel after the other, which stays in
/// the cache.
template <typename Block>
void for_each_block(std::int64_t panels, std::int64_t rows, Block&& block) {
  const std::int64_t blocks = (rows + kRows - 1) / kRows;
  at::parallel_for(0, panels * blocks, 1, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t task = begin; task < end; ++task) {
      const std::int64_t first = task % blocks * kRows;
      block(task / blocks, first, std::min(kRows, rows - first));
    }
    release_block_product();
  });
}

void float_blocks(const at::Tensor& input, const at::Tensor& packed, const float* bias,
                  const at::Tensor& other, at::Tensor& output) {
  const std::int64_t inputs = packed.size(1), columns = packed.size(2);
  const std::int64_t outputs = packed.size(0) * columns;
  const auto *in = input.const_data_ptr<float>(), *weights = packed.const_data_ptr<float>();
  const auto* more = other.defined() ? other.const_data_ptr<float>() : nullptr;
  auto* out = output.data_ptr<float>();
  for_each_block(packed.size(0), input.numel() / inputs,
                 [&](std::int64_t panel, std::int64_t first, std::int64_t count) {
                   const std::int64_t place = first * outputs + panel * columns;
                   block_product(count, columns, inputs, in + first * inputs, inputs,
                                 weights + panel * inputs * columns, columns, out + place, outputs);
                   add_rows(out + place, count, columns, outputs, bias + panel * columns,
                            more != nullptr ? more + place : nullptr);
                 });
}

void bfloat16_blocks(const at::Tensor& input, const at::Tensor& packed, const float* bias,
                     const at::Tensor& other, Then then, at::Tensor& output) {
  const std::int64_t inputs = 2 * packed.size(1), columns = packed.size(2);
  const std::int64_t outputs = packed.size(0) * columns;
  const auto *in = input.const_data_ptr<c10::BFloat16>(),
             *weights = packed.const_data_ptr<c10::BFloat16>();
  const auto* more =
      then == Then::kAdd
          ? reinterpret_cast<const std::uint16_t*>(other.const_data_ptr<c10::BFloat16>())
          : nullptr;
  auto* out = output.data_ptr<c10::BFloat16>();
  for_each_block(packed.size(0), input.numel() / inputs,
                 [&](std::int64_t panel, std::int64_t first, std::int64_t count) {
                   alignas(64) float sums[kRows * kWidestPanel];
                   const std::int64_t place = first * outputs + panel * columns;
                   const float* offsets = bias + panel * columns;
                   block_product(count, columns, inputs, in + first * inputs, inputs,
                                 weights + panel * inputs * columns, columns, sums, columns);
                   if (then == Then::kGelu) {
                     gelu_rows(sums, count, columns, offsets);
                   } else if (then == Then::kAdd) {
                     add_halves(sums, count, columns, offsets, more + place, outputs);
                   } else {
                     add_rows(sums, count, columns, columns, offsets, nullptr);
                   }
                   for (std::int64_t r = 0; r < count; ++r) {
                     round_row(sums + r * columns, columns, out + place + r * outputs);
                   }
                 });
}

}  // namespace

at::Tensor pack_for_blocks(const at::Tensor& weight) {
  check_kernel(is_usable(weight) && weight.dim() == 2 && weight.numel() > 0,
               "weights of a block linear layer", "not [out, in] float32 or bfloat16 on the CPU");
  const std::int64_t outputs = weight.size(0), inputs = weight.size(1);
  const std::int64_t columns = inputs > kWideInput ? kWidestPanel / 2 : kWidestPanel;
  if (outputs % columns != 0) return {};
  const at::Tensor panels = weight.reshape({outputs / columns, columns, inputs});
  if (weight.scalar_type() == at::kFloat) {
    return has_block_product() ? panels.transpose(1, 2).contiguous() : at::Tensor();
  }
  if (!has_bfloat16_product() || inputs % 2 != 0) return {};
  return panels.reshape({outputs / columns, columns, inputs / 2, 2}).transpose(1, 2).contiguous();
}

namespace {

at::Tensor linear(const at::Tensor& input, const at::Tensor& packed, const at::Tensor& bias,
                  Then then, const at::Tensor& other) {
  const bool halves = packed.defined() && packed.scalar_type() == at::kBFloat16;
  check_kernel(is_usable(packed) && packed.dim() == (halves ? 4 : 3) && packed.is_contiguous() &&
                   packed.numel() > 0,
               kName, "weights that pack_for_blocks did not pack");
  const std::int64_t inputs = packed.size(1) * (halves ? 2 : 1);
  const std::int64_t outputs = packed.size(0) * packed.size(2);
  const auto is_like = [&](const at::Tensor& tensor) {
    return is_usable(tensor) && tensor.scalar_type() == packed.scalar_type();
  };
  check_kernel(is_like(input) && input.dim() > 0, kName,
               "an input that is not of the weights' type on the CPU");
  check_kernel(input.size(-1) == inputs, kName, "an input of another width than the weights");
  check_kernel(is_cpu_float(bias, 1) && bias.is_contiguous() && bias.size(0) == outputs, kName,
               "a bias that is not [out] float32 contiguous on the CPU");
  auto sizes = input.sizes().vec();
  sizes.back() = outputs;
  check_kernel(then != Then::kAdd || (is_like(other) && other.sizes().equals(sizes)), kName,
               "what is to be added is not of the output's sizes and type on the CPU");
  at::Tensor output = at::empty(sizes, input.options());
  const at::Tensor from = input.contiguous();
  const at::Tensor added = then == Then::kAdd ? other.contiguous() : at::Tensor();
  const auto* offsets = bias.const_data_ptr<float>();
  if (halves) {
    bfloat16_blocks(from, packed, offsets, added, then, output);
    return output;
  }
  float_blocks(from, packed, offsets, added, output);
  if (then == Then::kGelu) at::gelu_(output);
  return output;
}

}  // namespace

at::Tensor block_linear(const at::Tensor& input, const at::Tensor& packed, const at::Tensor& bias,
                        const at::Tensor& other) {
  return linear(input, packed, bias, other.defined() ? Then::kAdd : Then::kNothing, other);
}

at::Tensor block_linear_gelu(const at::Tensor& input, const at::Tensor& packed,
                             const at::Tensor& bias) {
  return linear(input, packed, bias, Then::kGelu, {});
}

}  // namespace nagl
