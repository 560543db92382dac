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

bool has_bfloat16_product() {
  static const bool available = [] {
#if defined(__x86_64__)
    return at::globalContext().hasMKLDNN() && at::get_cpu_capability() == "AVX512" &&
           (__builtin_cpu_supports("avx512bf16") || __builtin_cpu_supports("amx-bf16"));
#else
    return false;
#endif
  }();
  return available;
}

void block_product(std::int64_t m, std::int64_t n, std::int64_t k, const c10::BFloat16* a,
                   std::int64_t ld_a, const c10::BFloat16* b, std::int64_t ld_b, float* c,
                   std::int64_t ld_c) {
  cpublas::brgemm(m, n, k, ld_a, ld_b, ld_c, /*add_C=*/false, a, b, c, /*is_vnni=*/true);
}

void release_block_product() { cpublas::brgemm_release(has_bfloat16_product()); }

}  // namespace nagl
