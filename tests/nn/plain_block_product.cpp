// Block products by loops, of both types: in the place of src/nn/brgemm in tests, so that what is
// around products of bfloat16 is tested on processors without them.

#include "nn/block_product.h"

namespace nagl {
bool has_block_product() { return true; }
bool has_bfloat16_product() { return true; }

void block_product(std::int64_t m, std::int64_t n, std::int64_t k, const float* a,
                   std::int64_t ld_a, const float* b, std::int64_t ld_b, float* c,
                   std::int64_t ld_c) {
  for (std::int64_t row = 0; row < m; ++row) {
    for (std::int64_t column = 0; column < n; ++column) {
      float sum = 0;
      for (std::int64_t i = 0; i < k; ++i) sum += a[row * ld_a + i] * b[i * ld_b + column];
      c[row * ld_c + column] = sum;
    }
  }
}

void block_product(std::int64_t m, std::int64_t n, std::int64_t k, const c10::BFloat16* a,
                   std::int64_t ld_a, const c10::BFloat16* b, std::int64_t ld_b, float* c,
                   std::int64_t ld_c) {
  for (std::int64_t row = 0; row < m; ++row) {
    for (std::int64_t column = 0; column < n; ++column) {
      float sum = 0;
      for (std::int64_t i = 0; i < k; ++i) {
        const c10::BFloat16 weight = b[(i / 2 * ld_b + column) * 2 + i % 2];
        sum += static_cast<float>(a[row * ld_a + i]) * static_cast<float>(weight);
      }
      c[row * ld_c + column] = sum;
    }
  }
}

void release_block_product() {}

}  // namespace nagl
