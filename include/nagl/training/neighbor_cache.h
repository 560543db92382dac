#pragma once

#include <cstdint>
#include <functional>
#include <list>
#include <mutex>
#include <unordered_map>

#include "nagl/core/torch.h"
#include "nagl/nn/nearest_neighbor.h"

namespace nagl {

/// Keeps the nearest neighbours of (query, reference) pairs for the next episode that draws the
/// pair: neighbours among several references are the best of those in each. The least recently used
/// pair goes when there is no room. What is kept is exactly what was computed, so results do not
/// depend on what the cache holds. Safe to use from several threads.
class NeighborCache {
 public:
  /// @param bytes limit; a pair of 1024 patches takes 12 KB, and memory is touched only when it is
  ///        used. 0 keeps nothing.
  /// @param patches N of every pair
  NeighborCache(std::uint64_t bytes, std::int64_t patches, at::Device device);

  /// @param compute called on a miss, [N] each
  NearestNeighbors get(std::int64_t query, std::int64_t reference,
                       const std::function<NearestNeighbors()>& compute);

  std::uint64_t hits() const { return hits_; }
  std::uint64_t misses() const { return misses_; }
  /// Pairs that there is room for.
  std::int64_t capacity() const { return capacity_; }

 private:
  struct Entry {
    std::uint64_t key;
    std::int64_t slot;
  };

  std::int64_t capacity_;
  /// [capacity, N] each, in one piece: many small tensors would scatter over the heap, and make the
  /// large ones of every step slow to allocate.
  at::Tensor max_cosine_, best_, index_;
  std::mutex mutex_;
  std::uint64_t hits_ = 0, misses_ = 0;
  std::list<Entry> entries_;  ///< most recently used first
  std::unordered_map<std::uint64_t, std::list<Entry>::iterator> places_;
};

}  // namespace nagl
