#pragma once

#include <torch/torch.h>

#include <cstdint>
#include <functional>
#include <list>
#include <unordered_map>

#include "nagl/nn/nearest_neighbor.h"

namespace nagl {

/// Keeps the nearest neighbours of (query, reference) pairs for the next episode that draws the
/// pair: neighbours among several references are the best of those in each. The least recently used
/// go when the limit is reached. What is kept is exactly what was computed, so results do not depend
/// on what the cache holds.
class NeighborCache {
 public:
  /// @param bytes limit; a pair of 1024 patches takes 12 KB. 0 keeps nothing.
  explicit NeighborCache(std::uint64_t bytes) : limit_(bytes) {}

  /// @param compute called on a miss
  NearestNeighbors get(std::int64_t query, std::int64_t reference,
                       const std::function<NearestNeighbors()>& compute);

  std::uint64_t hits() const { return hits_; }
  std::uint64_t misses() const { return misses_; }
  std::uint64_t bytes() const { return bytes_; }

 private:
  struct Entry {
    std::uint64_t key;
    at::Tensor max_cosine, best, index;  ///< [N] float32, float32, int32
    std::uint64_t bytes() const { return max_cosine.nbytes() + best.nbytes() + index.nbytes(); }
  };

  std::uint64_t limit_, bytes_ = 0, hits_ = 0, misses_ = 0;
  std::list<Entry> entries_;  ///< most recently used first
  std::unordered_map<std::uint64_t, std::list<Entry>::iterator> places_;
};

}  // namespace nagl
