#include "../block_product.h"

#include <ATen/Context.h>
#include <ATen/Version.h>
#include <ATen/native/CPUBlas.h>

#include <string>

namespace nagl {

namespace cpublas = at::native::cpublas;

bool has_block_product() {
  static const bool available = [] {
    // Elsewhere Torch takes its BLAS for them, which is no gain over whole products.
    const std::string processor = at::get_cpu_capability();
    return at::globalContext().hasMKLDNN() && (processor == "AVX2" || processor == "AVX512");
  }();
  return available;
}

void block_product(std::int64_t m, std::int64_t n, std::int64_t k, const float* a,
                   std::int64_t ld_a, const float* b, std::int64_t ld_b, float* c,
                   std::int64_t ld_c) {
  cpublas::brgemm(m, n, k, ld_a, ld_b, ld_c, /*add_C=*/false, a, b, c);
}

void release_block_product() { cpublas::brgemm_release(/*is_vnni=*/false); }

}  // namespace nagl
