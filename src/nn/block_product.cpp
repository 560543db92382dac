#include "block_product.h"

#include <algorithm>
#include <cstring>

#include "simd.h"

namespace nagl {

void transpose_padded(std::int64_t rows, std::int64_t columns, const float* from,
                      std::int64_t ld_from, float* to, std::int64_t ld_to) {
  for (std::int64_t begin = 0; begin < rows; begin += kLane) {
    const std::int64_t count = std::min(kLane, rows - begin);
    const float* block = from + begin * ld_from;
    for (std::int64_t c = 0; c < columns; ++c) {
      float* row = to + c * ld_to + begin;
      for (std::int64_t r = 0; r < count; ++r) row[r] = block[r * ld_from + c];
      std::fill(row + count, row + kLane, 0.0F);
    }
  }
}

void pair_rows(std::int64_t rows, std::int64_t rows_padded, std::int64_t columns,
               const c10::BFloat16* from, std::int64_t ld_from, c10::BFloat16* to) {
  for (std::int64_t r = 0; r < rows_padded; r += 2) {
    for (std::int64_t side = 0; side < 2; ++side) {
      const c10::BFloat16* row = from + (r + side) * ld_from;
      c10::BFloat16* out = to + r * columns + side;
      const bool there = r + side < rows;
      for (std::int64_t c = 0; c < columns; ++c) out[2 * c] = there ? row[c] : c10::BFloat16(0);
    }
  }
}

void pair_columns(std::int64_t rows, std::int64_t columns, const c10::BFloat16* from,
                  std::int64_t ld_from, c10::BFloat16* to, std::int64_t ld_to) {
  for (std::int64_t begin = 0; begin < rows; begin += kLane) {
    const std::int64_t count = std::min(kLane, rows - begin);
    const c10::BFloat16* block = from + begin * ld_from;
    for (std::int64_t c = 0; c < columns; c += 2) {
      c10::BFloat16* out = to + (c / 2 * ld_to + begin) * 2;
      for (std::int64_t r = 0; r < count; ++r) {
        std::memcpy(out + 2 * r, block + r * ld_from + c, 2 * sizeof(c10::BFloat16));
      }
      std::fill(out + 2 * count, out + 2 * kLane, c10::BFloat16(0));
    }
  }
}

NAGL_SIMD void round_row(const float* from, std::int64_t count, c10::BFloat16* to) {
  auto* bits = reinterpret_cast<std::uint16_t*>(to);
#pragma omp simd
  for (std::int64_t i = 0; i < count; ++i) bits[i] = to_bfloat16(from[i]);
}

}  // namespace nagl
