#pragma once

#include <torch/torch.h>

#include <cstdint>

namespace nagl {

/// Reference rows with the inverse of their norms, so that one product with them gives the plain
/// dot product and the cosine.
struct NeighborRows {
  at::Tensor rows;          ///< [R, C] float32
  at::Tensor inverse_norm;  ///< [R] float32

  NeighborRows() = default;
  explicit NeighborRows(at::Tensor features);

  std::int64_t size() const { return rows.defined() ? rows.size(0) : 0; }
  /// Rows `begin` to `end`, without a copy.
  NeighborRows slice(std::int64_t begin, std::int64_t end) const;
};

/// Reference rows taken at a time: the product of 1024 queries with a block is 8 MB.
inline constexpr std::int64_t kNeighborBlock = 2048;
/// Query rows taken at a time by `max_cosine`: with a block of references, 64 MB.
inline constexpr std::int64_t kQueryBlock = 8192;

/// The largest cosine of each query with any reference (DESIGN 3.3), in blocks of both, so that
/// the matrix of all pairs never exists.
/// @param queries [Q, C] float32
/// @param references R >= 1 rows
/// @return [Q] float32 in [-1, 1]
at::Tensor max_cosine(const at::Tensor& queries, const NeighborRows& references,
                      std::int64_t block = kNeighborBlock);

/// What one product with the references gives: the score and the residual's neighbour.
struct NearestNeighbors {
  at::Tensor max_cosine;  ///< [Q] float32, largest cosine
  at::Tensor index;       ///< [Q] int64, reference with the largest plain dot product
};

/// @param queries [Q, C] float32
/// @param references R >= 1 rows
NearestNeighbors nearest_neighbors(const at::Tensor& queries, const NeighborRows& references,
                                   std::int64_t block = kNeighborBlock);

/// `Res(F, F_n)[i] = F[i] - f_n[argmax_r <F[i], f_n[r]>]` (DESIGN 3.3).
/// @return [Q, C] float32
at::Tensor residuals(const at::Tensor& queries, const NeighborRows& references);

}  // namespace nagl
