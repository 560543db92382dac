#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "nagl/core/torch.h"
#include "nagl/nn/nagl_head.h"
#include "nagl/training/episode_sampler.h"
#include "nagl/training/feature_store.h"
#include "nagl/training/neighbor_cache.h"

namespace nagl {

/// Turns episodes into the tensors that the head takes, from stored features. What an episode gives
/// does not depend on the others of its batch.
class EpisodeLoader {
 public:
  /// @param pictures the source @param keys their entries of `store`
  EpisodeLoader(const FeatureStore& store, const std::vector<SourcePicture>& pictures,
                std::vector<std::string> keys, ResidualMetric metric, std::uint64_t cache_bytes,
                at::Device device);

  /// The abnormal references of each episode, B = episodes.size(); only masked-in patches are kept.
  /// All episodes have the same number of abnormal references.
  DefectPatches references(std::span<const Episode> episodes);
  /// The queries of each episode against its normal references.
  QueryPatches queries(std::span<const Episode> episodes);
  /// What the queries should give: labels [B] float32 and masks [B, H, W] uint8.
  at::Tensor labels(std::span<const Episode> episodes) const;
  at::Tensor masks(std::span<const Episode> episodes) const;

  const SourcePicture& picture(std::int64_t index) const {
    return pictures_[static_cast<std::size_t>(index)];
  }
  /// Whether a picture can be an abnormal reference: its patch mask has a patch.
  bool has_marked_patch(std::int64_t index) const;

  const NeighborCache& cache() const { return cache_; }
  PatchGrid grid() const { return store_.format().grid; }
  const at::Device& device() const { return device_; }

 private:
  StoredPicture get(std::int64_t index) const {
    return store_.get(keys_[static_cast<std::size_t>(index)]);
  }
  /// [N, C] as stored, on the device. There they stay as long as half of its memory is free.
  at::Tensor features(std::int64_t index);
  /// Calls `load` for each episode; on the CPU several at a time, each on one thread.
  void for_each(std::span<const Episode> episodes,
                const std::function<void(const Episode&, std::int64_t)>& load) const;

  const FeatureStore& store_;
  const std::vector<SourcePicture>& pictures_;
  std::vector<std::string> keys_;
  ResidualMetric metric_;
  NeighborCache cache_;
  at::Device device_;
  at::Tensor positions_;              ///< of a query, on the device
  std::vector<at::Tensor> resident_;  ///< features by picture that stay on a device; not of the CPU
  std::size_t room_ = 0;              ///< bytes that may still be kept there
};

}  // namespace nagl
