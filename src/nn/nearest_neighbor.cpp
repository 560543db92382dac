#include "nagl/nn/nearest_neighbor.h"

#include <stdexcept>
#include <tuple>
#include <utility>
#include <vector>

#include "block_product.h"
#include "neighbor_kernel.h"

namespace nagl {
namespace {

constexpr double kSmallestNorm = 1e-12;

at::Tensor inverse_norms(const at::Tensor& rows) {
  return rows.norm(2, /*dim=*/1).clamp_min(kSmallestNorm).reciprocal();
}

void check(const at::Tensor& queries, const NeighborRows& references, std::int64_t block) {
  if (references.size() < 1) throw std::invalid_argument("nearest neighbour without references");
  if (queries.size(1) != references.rows.size(1)) {
    throw std::invalid_argument("nearest neighbour among rows of another width");
  }
  if (block < 1) throw std::invalid_argument("nearest neighbour with an empty block");
}

/// [Q, R] float32.
at::Tensor products(const at::Tensor& queries, const NeighborRows& references) {
  if (!references.halves.defined()) return at::mm(queries, references.rows.t());
  const at::Tensor others = references.halves.t(), halved = queries.to(others.scalar_type());
  if (queries.is_cuda()) return at::mm(halved, others, at::kFloat);
  return at::mm(halved.to(at::kFloat), others.to(at::kFloat));
}

/// Calls `visit(products [Q, b], begin, inverse norms [b])` for each block of references.
template <typename Visit>
void for_each_block(const at::Tensor& queries, const NeighborRows& references, std::int64_t block,
                    Visit&& visit) {
  const std::int64_t total = references.size();
  for (std::int64_t begin = 0; begin < total; begin += block) {
    const NeighborRows part = references.slice(begin, std::min(begin + block, total));
    visit(products(queries, part), begin, part.inverse_norm);
  }
}

at::Tensor to_cosine(const at::Tensor& scaled_maximum, const at::Tensor& queries) {
  return (scaled_maximum * inverse_norms(queries)).clamp_(-1.0, 1.0);
}

}  // namespace

NeighborRows::NeighborRows(at::Tensor features, bool halved)
    : rows(std::move(features)), inverse_norm(inverse_norms(rows)) {
  if (halved && rows.is_cuda()) halves = rows.to(at::kHalf);
  if (halved && rows.is_cpu() && has_bfloat16_product()) halves = rows.to(at::kBFloat16);
}

NeighborRows NeighborRows::slice(std::int64_t begin, std::int64_t end) const {
  NeighborRows part;
  part.rows = rows.slice(0, begin, end);
  part.inverse_norm = inverse_norm.slice(0, begin, end);
  if (halves.defined()) part.halves = halves.slice(0, begin, end);
  return part;
}

at::Tensor max_cosine(const at::Tensor& queries, const NeighborRows& references,
                      std::int64_t block) {
  check(queries, references, block);
  NearestNeighbors quick;
  if (queries.is_cpu() && block_neighbors(queries, references, {}, false, quick)) {
    return to_cosine(quick.max_cosine, queries);
  }
  if (queries.size(0) > kQueryBlock) {
    std::vector<at::Tensor> parts;
    for (const auto& part : queries.split(kQueryBlock)) {
      parts.push_back(max_cosine(part, references, block));
    }
    return at::cat(parts);
  }
  at::Tensor best;
  for_each_block(queries, references, block,
                 [&](at::Tensor products, std::int64_t, const at::Tensor& inverse_norm) {
                   const auto here = products.mul_(inverse_norm).amax(1);
                   best = best.defined() ? at::maximum(best, here) : here;
                 });
  return to_cosine(best, queries);
}

NearestNeighbors merge(const NearestNeighbors& first, const NearestNeighbors& second,
                       std::int64_t offset) {
  return {at::maximum(first.max_cosine, second.max_cosine), at::maximum(first.best, second.best),
          at::where(second.best > first.best, second.index + offset, first.index)};
}

NearestNeighbors nearest_neighbors(const at::Tensor& queries, const NeighborRows& references,
                                   ResidualMetric metric, std::int64_t block) {
  check(queries, references, block);
  NearestNeighbors quick;
  if (queries.is_cpu() && block_neighbors(queries, references, metric, true, quick)) {
    quick.max_cosine = to_cosine(quick.max_cosine, queries);
    return quick;
  }
  if (queries.size(0) > kQueryBlock) {
    std::vector<at::Tensor> cosines, bests, indices;
    for (const auto& part : queries.split(kQueryBlock)) {
      const auto found = nearest_neighbors(part, references, metric, block);
      cosines.push_back(found.max_cosine);
      bests.push_back(found.best);
      indices.push_back(found.index);
    }
    return {at::cat(cosines), at::cat(bests), at::cat(indices)};
  }
  NearestNeighbors found;
  for_each_block(queries, references, block,
                 [&](at::Tensor products, std::int64_t begin, const at::Tensor& inverse_norm) {
                   NearestNeighbors here;
                   if (metric == ResidualMetric::kDot) {
                     std::tie(here.best, here.index) = products.max(1);
                     here.max_cosine = products.mul_(inverse_norm).amax(1);
                   } else {
                     std::tie(here.best, here.index) = products.mul_(inverse_norm).max(1);
                     here.max_cosine = here.best;
                   }
                   found = begin == 0 ? here : merge(found, here, begin);
                 });
  found.max_cosine = to_cosine(found.max_cosine, queries);
  return found;
}

at::Tensor residuals(const at::Tensor& queries, const NeighborRows& references,
                     ResidualMetric metric) {
  const auto index = nearest_neighbors(queries, references, metric).index;
  return queries - references.rows.index_select(0, index);
}

}  // namespace nagl
