#pragma once

#include "nagl/nn/nearest_neighbor.h"

namespace nagl {

/// `nearest_neighbors` on the CPU, where maximum and argmax are taken of each block of products
/// while it is in a core's cache.
/// @param with_index whether `best` and `index` are asked for; else they are undefined
/// @return false, and nothing done, where the processor has no block product, or of other types
/// than float32
bool block_neighbors(const at::Tensor& queries, const NeighborRows& references,
                     ResidualMetric metric, bool with_index, NearestNeighbors& found);

}  // namespace nagl
