#pragma once

#include <c10/util/BFloat16.h>

#include <cstdint>

namespace nagl {

/// Matrix products of blocks that stay in a core's cache, so that what follows can be done before
/// they leave it. They are those of oneDNN, which Torch carries (`at::native::cpublas::brgemm`).
/// The header that names them is Torch's own: brgemm/ is built where it is there, else no_brgemm/.

/// Whether there are any: on x86-64 with AVX2 or AVX-512.
bool has_block_product();

/// `c = a b`, on the calling thread. Only with `has_block_product()`.
/// @param a [m, k], b [k, n], c [m, n] float32, row by row; `ld_` is the distance of rows
void block_product(std::int64_t m, std::int64_t n, std::int64_t k, const float* a,
                   std::int64_t ld_a, const float* b, std::int64_t ld_b, float* c,
                   std::int64_t ld_c);

/// Whether there are any of bfloat16, by units for it: with AVX512-BF16 or AMX.
bool has_bfloat16_product();

/// The same of bfloat16, summed in float32. Only with `has_bfloat16_product()`.
/// @param b [k / 2, n, 2]: what stands side by side is of two rows; `ld_b` counts pairs; k is even
void block_product(std::int64_t m, std::int64_t n, std::int64_t k, const c10::BFloat16* a,
                   std::int64_t ld_a, const c10::BFloat16* b, std::int64_t ld_b, float* c,
                   std::int64_t ld_c);

/// Floats of the widest vector: products are quickest where `n` is a multiple of it.
inline constexpr std::int64_t kLane = 16;

/// The next multiple of kLane.
inline std::int64_t padded_to_lane(std::int64_t count) {
  return (count + kLane - 1) / kLane * kLane;
}

/// Writes [rows, columns] as [columns, padded_to_lane(rows)], what is past `rows` as 0.
void transpose_padded(std::int64_t rows, std::int64_t columns, const float* from,
                      std::int64_t ld_from, float* to, std::int64_t ld_to);

/// Writes [rows, columns] as [rows_padded / 2, columns, 2], what is past `rows` as 0.
void pair_rows(std::int64_t rows, std::int64_t rows_padded, std::int64_t columns,
               const c10::BFloat16* from, std::int64_t ld_from, c10::BFloat16* to);

/// Writes the transposed of [rows, columns] as [columns / 2, ld_to, 2], up to padded_to_lane(rows)
/// what is past `rows` as 0.
void pair_columns(std::int64_t rows, std::int64_t columns, const c10::BFloat16* from,
                  std::int64_t ld_from, c10::BFloat16* to, std::int64_t ld_to);

/// To bfloat16, the nearest, ties to even; NaN as processors make it stays NaN. In a pass of its
/// own: loops that mix types of two sizes are cut into narrower vectors.
void round_row(const float* from, std::int64_t count, c10::BFloat16* to);

/// Call on a thread after its last block product of a parallel region.
void release_block_product();

}  // namespace nagl
