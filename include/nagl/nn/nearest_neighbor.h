#pragma once

#include <cstdint>
#include <string>

#include "nagl/core/enum_names.h"
#include "nagl/core/torch.h"

namespace nagl {

/// What a residual's neighbour is nearest by (docs/design.md, 3.3). They differ when norms differ.
enum class ResidualMetric {
  kDot,     ///< largest plain dot product, as the published code has it
  kCosine,  ///< largest cosine, as the paper writes
};
constexpr auto names_of(ResidualMetric) {
  return EnumNames<ResidualMetric, 2>{
      "residual metric", {{{ResidualMetric::kDot, "dot"}, {ResidualMetric::kCosine, "cosine"}}}};
}

/// Reference rows with the inverse of their norms, so that one product with them gives the plain
/// dot product and the cosine.
struct NeighborRows {
  at::Tensor rows;          ///< [R, C] float32
  at::Tensor inverse_norm;  ///< [R] float32
  at::Tensor halves;        ///< [R, C] of 16 bit, what products are taken of; undefined: `rows`

  NeighborRows() = default;
  /// @param halved whether products are taken of rows rounded to 16 bit where the device has units
  ///        for it (float16 on CUDA, bfloat16 on CPUs), summed up in float32. (A result of 16 bit
  ///        would have some ten distinct values a picture.)
  explicit NeighborRows(at::Tensor features, bool halved = false);

  std::int64_t size() const { return rows.defined() ? rows.size(0) : 0; }
  /// Rows `begin` to `end`, without a copy.
  NeighborRows slice(std::int64_t begin, std::int64_t end) const;
};

/// Reference rows taken at a time: the product of 1024 queries with a block is 8 MB.
inline constexpr std::int64_t kNeighborBlock = 2048;
/// Query rows taken at a time: with a block of references, 64 MB.
inline constexpr std::int64_t kQueryBlock = 8192;

/// The largest cosine of each query with any reference (docs/design.md, 3.3), in blocks of both, so
/// that the matrix of all pairs never exists. On the CPU in float32 they are of a size that stays
/// in the cache, whatever `block` says.
/// @param queries [Q, C] float32
/// @param references R >= 1 rows
/// @return [Q] float32 in [-1, 1]
at::Tensor max_cosine(const at::Tensor& queries, const NeighborRows& references,
                      std::int64_t block = kNeighborBlock);

/// What one product with the references gives: the score and the residual's neighbour.
struct NearestNeighbors {
  at::Tensor max_cosine;  ///< [Q] float32, largest cosine
  at::Tensor best;        ///< [Q] float32, largest value of the metric: what several sets of
                          ///< references are compared by
  at::Tensor index;       ///< [Q] int64, reference with that value
};

/// @param queries [Q, C] float32
/// @param references R >= 1 rows
NearestNeighbors nearest_neighbors(const at::Tensor& queries, const NeighborRows& references,
                                   ResidualMetric metric = ResidualMetric::kDot,
                                   std::int64_t block = kNeighborBlock);

/// The better of the neighbours among two sets of references, of which the second's rows are
/// counted from `offset`; the first wins ties.
NearestNeighbors merge(const NearestNeighbors& first, const NearestNeighbors& second,
                       std::int64_t offset);

/// `Res(F, F_n)[i] = F[i] - f_n[nearest r]` (docs/design.md, 3.3).
/// @return [Q, C] float32
at::Tensor residuals(const at::Tensor& queries, const NeighborRows& references,
                     ResidualMetric metric = ResidualMetric::kDot);

}  // namespace nagl
