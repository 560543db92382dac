#pragma once

#include "nagl/nn/nearest_neighbor.h"

namespace nagl {

/// `nearest_neighbors` on the CPU, where maximum and argmax are taken of each block of products
/// while it is in a core's cache.
/// @param queries [Q, C] on the CPU, as the references
/// @param with_index whether `best` and `index` are asked for; else they are undefined
/// @return false, and nothing done, where the processor has no block product of the rows' type, of
/// queries that are not float32, of halves with an odd number of channels, and where a reference is
/// not finite, since comparisons would pass over its products
/// @throws std::invalid_argument where queries and references do not fit together
bool block_neighbors(const at::Tensor& queries, const NeighborRows& references,
                     ResidualMetric metric, bool with_index, NearestNeighbors& found);

}  // namespace nagl
