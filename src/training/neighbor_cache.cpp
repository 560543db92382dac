#include "nagl/training/neighbor_cache.h"

namespace nagl {
namespace {

constexpr std::uint64_t kBytesPerPatch = 2 * sizeof(float) + sizeof(std::int32_t);

}  // namespace

NeighborCache::NeighborCache(std::uint64_t bytes, std::int64_t patches, at::Device device)
    : capacity_(static_cast<std::int64_t>(bytes /
                                          (static_cast<std::uint64_t>(patches) * kBytesPerPatch))) {
  const auto floats = at::TensorOptions().device(device).dtype(at::kFloat);
  max_cosine_ = at::empty({capacity_, patches}, floats);
  best_ = at::empty({capacity_, patches}, floats);
  index_ = at::empty({capacity_, patches}, floats.dtype(at::kInt));
}

NearestNeighbors NeighborCache::get(std::int64_t query, std::int64_t reference,
                                    const std::function<NearestNeighbors()>& compute) {
  const std::uint64_t key =
      static_cast<std::uint64_t>(query) << 32 | static_cast<std::uint64_t>(reference);
  {
    const std::lock_guard lock(mutex_);
    if (const auto found = places_.find(key); found != places_.end()) {
      ++hits_;
      entries_.splice(entries_.begin(), entries_, found->second);
      const std::int64_t slot = entries_.front().slot;
      return {max_cosine_[slot].clone(), best_[slot].clone(), index_[slot].to(at::kLong)};
    }
    ++misses_;
  }
  const NearestNeighbors computed = compute();
  const std::lock_guard lock(mutex_);
  if (capacity_ == 0 || places_.contains(key)) return computed;
  std::int64_t slot = static_cast<std::int64_t>(entries_.size());
  if (slot == capacity_) {
    slot = entries_.back().slot;
    places_.erase(entries_.back().key);
    entries_.pop_back();
  }
  max_cosine_[slot].copy_(computed.max_cosine);
  best_[slot].copy_(computed.best);
  index_[slot].copy_(computed.index);
  entries_.push_front({key, slot});
  places_[key] = entries_.begin();
  return computed;
}

}  // namespace nagl
