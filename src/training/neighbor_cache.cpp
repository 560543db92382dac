#include "nagl/training/neighbor_cache.h"

namespace nagl {

NearestNeighbors NeighborCache::get(std::int64_t query, std::int64_t reference,
                                    const std::function<NearestNeighbors()>& compute) {
  const std::uint64_t key =
      static_cast<std::uint64_t>(query) << 32 | static_cast<std::uint64_t>(reference);
  if (const auto found = places_.find(key); found != places_.end()) {
    ++hits_;
    entries_.splice(entries_.begin(), entries_, found->second);
    const Entry& entry = entries_.front();
    return {entry.max_cosine, entry.best, entry.index.to(at::kLong)};
  }
  ++misses_;
  const NearestNeighbors computed = compute();
  Entry entry{key, computed.max_cosine, computed.best, computed.index.to(at::kInt)};
  const std::uint64_t size = entry.bytes();
  if (size > limit_) return computed;
  while (bytes_ + size > limit_) {
    bytes_ -= entries_.back().bytes();
    places_.erase(entries_.back().key);
    entries_.pop_back();
  }
  bytes_ += size;
  entries_.push_front(std::move(entry));
  places_[key] = entries_.begin();
  return computed;
}

}  // namespace nagl
