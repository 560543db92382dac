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

// Floats of a block: 256 KB, a quarter of an L2. Products of bfloat16 come with larger ones, and
// take 16 rows at a time.
constexpr std::int64_t kLogitsInCache = 65536, kLogitsInCacheOfHalves = 131072;
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

NAGL_SIMD void divide_rows(float* rows, std::int64_t count, std::int64_t columns, const float* by) {
  for (std::int64_t r = 0; r < count; ++r) {
    const float factor = 1 / by[r];
#pragma omp simd
    for (std::int64_t c = 0; c < columns; ++c) rows[r * columns + c] *= factor;
  }
}

/// The shape of what is attended to, and how it is cut.
struct Blocks {
  std::int64_t batch, tokens, heads, depth, width, row, padded, rows, count;

  Blocks(const at::Tensor& qkv, std::int64_t logits_in_cache)
      : batch(qkv.size(0)),
        tokens(qkv.size(1)),
        heads(qkv.size(3)),
        depth(qkv.size(4)),
        width(heads * depth),
        row(3 * width),
        padded(padded_to_lane(tokens)),
        rows(std::clamp(logits_in_cache / padded, std::int64_t{1}, kMostRows)),
        count((tokens + rows - 1) / rows) {}

  float scale() const {
    return std::numbers::log2e_v<float> / std::sqrt(static_cast<float>(depth));
  }
  /// Where the queries of a head of a picture begin; keys follow `width` after, values as much.
  std::int64_t place(std::int64_t pair) const {
    return pair / heads * tokens * row + pair % heads * depth;
  }

  std::int64_t place_of_output(std::int64_t pair, std::int64_t first) const {
    return (pair / heads * tokens + first) * width + pair % heads * depth;
  }

  /// Calls `work(pair)` for each head of each picture.
  template <typename Work>
  void prepare(Work&& work) const {
    at::parallel_for(0, batch * heads, 1, [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t pair = begin; pair < end; ++pair) work(pair);
    });
  }

  /// Calls `worker()(pair, first row, rows)` for each block of queries; each thread makes a worker.
  template <typename Worker>
  void for_each_block(Worker&& worker) const {
    at::parallel_for(0, batch * heads * count, 1, [&](std::int64_t begin, std::int64_t end) {
      const auto work = worker();
      for (std::int64_t task = begin; task < end; ++task) {
        const std::int64_t first = task % count * rows;
        work(task / count, first, std::min(rows, tokens - first));
      }
      release_block_product();
    });
  }
};

at::Tensor float_attention(const at::Tensor& qkv, const Blocks& shape) {
  at::Tensor mixed = at::empty({shape.batch, shape.tokens, shape.width}, qkv.options());
  at::Tensor keys =
      at::empty({shape.batch * shape.heads, shape.depth, shape.padded}, qkv.options());
  at::Tensor values =
      at::empty({shape.batch * shape.heads, shape.tokens, shape.depth}, qkv.options());
  const auto* in = qkv.const_data_ptr<float>();
  auto *out = mixed.data_ptr<float>(), *k = keys.data_ptr<float>(), *v = values.data_ptr<float>();
  const auto keys_of = [&](std::int64_t pair) { return k + pair * shape.depth * shape.padded; };
  const auto values_of = [&](std::int64_t pair) { return v + pair * shape.tokens * shape.depth; };
  shape.prepare([&](std::int64_t pair) {
    const float *key = in + shape.place(pair) + shape.width, *value = key + shape.width;
    transpose_padded(shape.tokens, shape.depth, key, shape.row, keys_of(pair), shape.padded);
    for (std::int64_t t = 0; t < shape.tokens; ++t) {
      std::copy_n(value + t * shape.row, shape.depth, values_of(pair) + t * shape.depth);
    }
  });
  shape.for_each_block([&] {
    at::Tensor buffer = at::empty({shape.rows, shape.padded}, at::kFloat);
    return [&, buffer](std::int64_t pair, std::int64_t first, std::int64_t count) {
      auto* logits = buffer.data_ptr<float>();
      block_product(count, shape.padded, shape.depth, in + shape.place(pair) + first * shape.row,
                    shape.row, keys_of(pair), shape.padded, logits, shape.padded);
      float sums[kMostRows];
      for (std::int64_t i = 0; i < count; ++i) {
        sums[i] = powers(logits + i * shape.padded, shape.tokens, shape.scale());
      }
      float* to = out + shape.place_of_output(pair, first);
      block_product(count, shape.depth, shape.tokens, logits, shape.padded, values_of(pair),
                    shape.depth, to, shape.width);
      for (std::int64_t i = 0; i < count; ++i) {
        for (std::int64_t c = 0; c < shape.depth; ++c) to[i * shape.width + c] /= sums[i];
      }
    };
  });
  return mixed;
}

/// Logits and sums are float32; what is multiplied is bfloat16.
at::Tensor bfloat16_attention(const at::Tensor& qkv, const Blocks& shape) {
  at::Tensor mixed = at::empty({shape.batch, shape.tokens, shape.width}, qkv.options());
  const std::int64_t pairs = shape.batch * shape.heads;
  at::Tensor keys = at::empty({pairs, shape.depth * shape.padded}, qkv.options());
  at::Tensor values = at::empty({pairs, shape.padded * shape.depth}, qkv.options());
  const auto* in = qkv.const_data_ptr<c10::BFloat16>();
  auto *k = keys.data_ptr<c10::BFloat16>(), *v = values.data_ptr<c10::BFloat16>();
  auto* out = mixed.data_ptr<c10::BFloat16>();
  const std::int64_t size = shape.depth * shape.padded;
  shape.prepare([&](std::int64_t pair) {
    const c10::BFloat16 *key = in + shape.place(pair) + shape.width, *value = key + shape.width;
    pair_columns(shape.tokens, shape.depth, key, shape.row, k + pair * size, shape.padded);
    pair_rows(shape.tokens, shape.padded, shape.depth, value, shape.row, v + pair * size);
  });
  shape.for_each_block([&] {
    at::Tensor floats = at::empty({shape.rows, shape.padded + shape.depth}, at::kFloat);
    at::Tensor halves = at::empty({shape.rows, shape.padded}, at::kBFloat16);
    return [&, floats, halves](std::int64_t pair, std::int64_t first, std::int64_t count) {
      auto* logits = floats.data_ptr<float>();
      float* weighted = logits + shape.rows * shape.padded;
      auto* weights = halves.data_ptr<c10::BFloat16>();
      block_product(count, shape.padded, shape.depth, in + shape.place(pair) + first * shape.row,
                    shape.row, k + pair * size, shape.padded, logits, shape.padded);
      float sums[kMostRows];
      for (std::int64_t i = 0; i < count; ++i) {
        float* row = logits + i * shape.padded;
        sums[i] = powers(row, shape.tokens, shape.scale());
        std::fill(row + shape.tokens, row + shape.padded, 0.0F);
        round_row(row, shape.padded, weights + i * shape.padded);
      }
      block_product(count, shape.depth, shape.padded, weights, shape.padded, v + pair * size,
                    shape.depth, weighted, shape.depth);
      divide_rows(weighted, count, shape.depth, sums);
      for (std::int64_t i = 0; i < count; ++i) {
        round_row(weighted + i * shape.depth, shape.depth,
                  out + shape.place_of_output(pair, first) + i * shape.width);
      }
    };
  });
  return mixed;
}

}  // namespace

at::Tensor block_attention(const at::Tensor& qkv) {
  const bool halves = qkv.defined() && qkv.scalar_type() == at::kBFloat16;
  check_kernel(qkv.defined() && qkv.is_cpu() && qkv.dim() == 5 && qkv.is_contiguous() &&
                   qkv.size(2) == 3 && (halves || qkv.scalar_type() == at::kFloat),
               "block attention",
               "not [B, T, 3, heads, d] float32 or bfloat16 contiguous on the CPU");
  check_kernel(qkv.size(1) > 0 && qkv.size(3) > 0 && qkv.size(4) > 0, "block attention",
               "no tokens, heads or channels");
  if (halves) {
    if (!has_bfloat16_product() || qkv.size(4) % 2 != 0) return {};
    return bfloat16_attention(qkv, Blocks(qkv, kLogitsInCacheOfHalves));
  }
  if (!has_block_product()) return {};
  return float_attention(qkv, Blocks(qkv, kLogitsInCache));
}

}  // namespace nagl
