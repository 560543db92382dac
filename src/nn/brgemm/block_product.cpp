#include "block_product.h"

#include <ATen/Context.h>
#include <ATen/native/CPUBlas.h>

#include <algorithm>

namespace nagl {

namespace cpublas = at::native::cpublas;

bool has_block_product() {
  static const bool available = [] {
    const float one = 1;
    float result = 0;
    try {  // Torch has no question to ask: it refuses
      cpublas::brgemm(1, 1, 1, 1, 1, 1, false, &one, &one, &result);
      release_block_product();
    } catch (const c10::Error&) {
      return false;
    }
    return result == 1;
  }();
  return available;
}

void block_product(std::int64_t m, std::int64_t n, std::int64_t k, const float* a,
                   std::int64_t ld_a, const float* b, std::int64_t ld_b, float* c,
                   std::int64_t ld_c) {
  cpublas::brgemm(m, n, k, ld_a, ld_b, ld_c, /*add_C=*/false, a, b, c);
}

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

void release_block_product() { cpublas::brgemm_release(/*is_vnni=*/false); }

}  // namespace nagl
