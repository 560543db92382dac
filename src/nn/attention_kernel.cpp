#include "attention_kernel.h"

#include <ATen/Functions.h>
#include <ATen/Parallel.h>

#include <algorithm>
#include <cmath>
#include <numbers>

#include "block_product.h"
#include "kernel_check.h"
#include "simd.h"

namespace nagl {
namespace {

constexpr std::int64_t kLogitsInCache = 65536;  // floats of a block: 256 KB, a quarter of an L2
constexpr std::int64_t kMostRows = 64;

/// The largest of `count` values, in four vectors at a time: one would wait for itself.
NAGL_INLINE float largest(const float* values, std::int64_t count) {
  constexpr std::int64_t kTogether = 4 * kLane;
  float lanes[kTogether];
  std::fill_n(lanes, kTogether, values[0]);
  std::int64_t i = 0;
  for (; i + kTogether <= count; i += kTogether) {
#pragma omp simd
    for (std::int64_t lane = 0; lane < kTogether; ++lane) {
      const float value = values[i + lane];
      lanes[lane] = value > lanes[lane] ? value : lanes[lane];
    }
  }
  float most = lanes[0];
#pragma omp simd reduction(max : most)
  for (std::int64_t lane = 0; lane < kTogether; ++lane) {
    most = lanes[lane] > most ? lanes[lane] : most;
  }
  for (; i < count; ++i) most = values[i] > most ? values[i] : most;
  return most;
}

/// Replaces logits by 2^(scale (x - max)). @return their sum
NAGL_SIMD float powers(float* logits, std::int64_t count, float scale) {
  const float shift = scale * largest(logits, count);
  float sum = 0;
#pragma omp simd reduction(+ : sum)
  for (std::int64_t i = 0; i < count; ++i) {
    const float value = exp2_negative(scale * logits[i] - shift);
    logits[i] = value;
    sum += value;
  }
  return sum;
}

}  // namespace

at::Tensor block_attention(const at::Tensor& qkv) {
  check_kernel(is_cpu_float(qkv, 5) && qkv.is_contiguous() && qkv.size(2) == 3, "block attention",
               "not [B, T, 3, heads, d] float32 contiguous on the CPU");
  check_kernel(qkv.size(1) > 0 && qkv.size(3) > 0 && qkv.size(4) > 0, "block attention",
               "no tokens, heads or channels");
  if (!has_block_product()) return {};
  const std::int64_t batch = qkv.size(0), tokens = qkv.size(1), heads = qkv.size(3),
                     depth = qkv.size(4), width = heads * depth, row = 3 * width;
  const std::int64_t padded = padded_to_lane(tokens);
  const std::int64_t rows = std::clamp(kLogitsInCache / padded, std::int64_t{1}, kMostRows);
  const std::int64_t blocks = (tokens + rows - 1) / rows;
  const float scale = std::numbers::log2e_v<float> / std::sqrt(static_cast<float>(depth));
  at::Tensor mixed = at::empty({batch, tokens, width}, qkv.options());
  at::Tensor keys = at::empty({batch * heads, depth, padded}, qkv.options());
  at::Tensor values = at::empty({batch * heads, tokens, depth}, qkv.options());
  const auto* in = qkv.const_data_ptr<float>();
  auto *out = mixed.data_ptr<float>(), *k = keys.data_ptr<float>(), *v = values.data_ptr<float>();
  const auto query_of = [&](std::int64_t pair) {
    return in + pair / heads * tokens * row + pair % heads * depth;
  };
  at::parallel_for(0, batch * heads, 1, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t pair = begin; pair < end; ++pair) {
      const float *key = query_of(pair) + width, *value = key + width;
      transpose_padded(tokens, depth, key, row, k + pair * depth * padded, padded);
      float* to = v + pair * tokens * depth;
      for (std::int64_t t = 0; t < tokens; ++t) {
        std::copy_n(value + t * row, depth, to + t * depth);
      }
    }
  });
  at::parallel_for(0, batch * heads * blocks, 1, [&](std::int64_t begin, std::int64_t end) {
    at::Tensor buffer = at::empty({rows, padded}, at::kFloat);
    auto* logits = buffer.data_ptr<float>();
    for (std::int64_t task = begin; task < end; ++task) {
      const std::int64_t pair = task / blocks, first = task % blocks * rows;
      const std::int64_t count = std::min(rows, tokens - first);
      block_product(count, padded, depth, query_of(pair) + first * row, row,
                    k + pair * depth * padded, padded, logits, padded);
      float sums[kMostRows];
      for (std::int64_t i = 0; i < count; ++i) {
        sums[i] = powers(logits + i * padded, tokens, scale);
      }
      float* to = out + (pair / heads * tokens + first) * width + pair % heads * depth;
      block_product(count, depth, tokens, logits, padded, v + pair * tokens * depth, depth, to,
                    width);
      for (std::int64_t i = 0; i < count; ++i) {
        for (std::int64_t c = 0; c < depth; ++c) to[i * width + c] /= sums[i];
      }
    }
    release_block_product();
  });
  return mixed;
}

}  // namespace nagl
