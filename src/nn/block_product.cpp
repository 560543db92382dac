#include "block_product.h"

#include <algorithm>

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

}  // namespace nagl
