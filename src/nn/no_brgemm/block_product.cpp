#include "../block_product.h"

#include <stdexcept>

namespace nagl {

bool has_block_product() { return false; }

void block_product(std::int64_t, std::int64_t, std::int64_t, const float*, std::int64_t,
                   const float*, std::int64_t, float*, std::int64_t) {
  throw std::logic_error("this build has no block products");
}

bool has_bfloat16_product() { return false; }

void block_product(std::int64_t, std::int64_t, std::int64_t, const c10::BFloat16*, std::int64_t,
                   const c10::BFloat16*, std::int64_t, float*, std::int64_t) {
  throw std::logic_error("this build has no block products");
}

void release_block_product() {}

}  // namespace nagl
