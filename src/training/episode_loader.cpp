#include "nagl/training/episode_loader.h"

#include <ATen/Parallel.h>

#include <utility>

#include "nagl/core/device.h"
#include "nagl/nn/residual_mining.h"

namespace nagl {
namespace {

at::Tensor joined(const std::vector<at::Tensor>& parts) {
  return parts.size() == 1 ? parts.front() : at::cat(parts);
}

}  // namespace

EpisodeLoader::EpisodeLoader(const FeatureStore& store, const std::vector<SourcePicture>& pictures,
                             std::vector<std::string> keys, ResidualMetric metric,
                             std::uint64_t cache_bytes, at::Device device)
    : store_(store),
      pictures_(pictures),
      keys_(std::move(keys)),
      metric_(metric),
      cache_(cache_bytes, store.format().grid.size(), device),
      device_(device),
      positions_(position_encoding(grid(), store.format().width).to(device)),
      resident_(device.is_cpu() ? 0 : keys_.size()),
      room_(free_device_memory(device) / 2) {}

at::Tensor EpisodeLoader::features(std::int64_t index) {
  if (device_.is_cpu()) return get(index).features;
  at::Tensor& kept = resident_[static_cast<std::size_t>(index)];
  if (kept.defined()) return kept;
  at::Tensor moved = upload(get(index).features, device_);
  if (moved.nbytes() <= room_) {
    room_ -= moved.nbytes();
    kept = moved;
  }
  return moved;
}

bool EpisodeLoader::has_marked_patch(std::int64_t index) const {
  const StoredPicture stored = get(index);
  return stored.patch_mask.defined() && stored.patch_mask.any().item<bool>();
}

void EpisodeLoader::for_each(std::span<const Episode> episodes,
                             const std::function<void(const Episode&, std::int64_t)>& load) const {
  const auto count = static_cast<std::int64_t>(episodes.size());
  const std::int64_t at_a_time = device_.is_cpu() ? 1 : count;
  at::parallel_for(0, count, at_a_time, [&](std::int64_t begin, std::int64_t end) {
    const at::NoGradGuard no_grad;  // guards are of one thread
    for (std::int64_t i = begin; i < end; ++i) load(episodes[static_cast<std::size_t>(i)], i);
  });
}

DefectPatches EpisodeLoader::references(std::span<const Episode> episodes) {
  const PatchGrid shape = grid();
  const std::int64_t width = store_.format().width;
  // Which patches to keep is decided on the CPU, without waiting for a device.
  std::vector<at::Tensor> masks_of;
  for (const auto& episode : episodes) {
    std::vector<at::Tensor> masks;
    for (const auto picture : episode.abnormal) masks.push_back(get(picture).patch_mask);
    masks_of.push_back(joined(masks));
  }
  const auto mask = at::stack(masks_of);  // [B, K2 * N]
  const PackedTokens packed = pack_masked(mask);
  const at::Tensor counts = packed.mask.sum(1), index = upload(packed.index, device_);

  DefectPatches patches;
  patches.mask = upload(packed.mask, device_);
  patches.positions =
      upload(masked_position_encoding(mask.reshape({mask.size(0), -1, shape.rows, shape.columns}),
                                      width, packed.index),
             device_);
  patches.features = at::zeros_like(patches.positions);
  patches.residuals = at::zeros_like(patches.positions);
  for_each(episodes, [&](const Episode& episode, std::int64_t i) {
    const auto count = counts[i].item<std::int64_t>();
    const auto kept = patches.features[i].slice(0, 0, count);
    std::vector<at::Tensor> abnormal, normal;
    for (const auto picture : episode.abnormal) abnormal.push_back(features(picture));
    kept.copy_(joined(abnormal).index_select(0, index[i].slice(0, 0, count)));
    for (const auto picture : episode.normal) normal.push_back(features(picture));
    patches.residuals[i]
        .slice(0, 0, count)
        .copy_(residuals(kept, NeighborRows(joined(normal).to(at::kFloat)), metric_));
  });
  return patches;
}

QueryPatches EpisodeLoader::queries(std::span<const Episode> episodes) {
  const auto batch = static_cast<std::int64_t>(episodes.size());
  const std::int64_t count = grid().size(), width = store_.format().width;
  const auto options = at::TensorOptions().device(device_).dtype(at::kFloat);
  QueryPatches patches;
  patches.features = at::empty({batch, count, width}, options);
  patches.residuals = at::empty({batch, count, width}, options);
  patches.normal_cosine = at::empty({batch, count}, options);
  patches.grid = grid();
  patches.positions = positions_;
  for_each(episodes, [&](const Episode& episode, std::int64_t i) {
    const auto query = patches.features[i];
    query.copy_(features(episode.query));
    std::vector<at::Tensor> normal;
    NearestNeighbors found;
    for (const auto picture : episode.normal) {
      normal.push_back(features(picture));
      const auto here = cache_.get(episode.query, picture, [&] {
        return nearest_neighbors(query, NeighborRows(normal.back().to(at::kFloat)), metric_);
      });
      const auto offset = static_cast<std::int64_t>(normal.size() - 1) * count;
      found = normal.size() == 1 ? here : merge(found, here, offset);
    }
    patches.residuals[i].copy_(joined(normal).index_select(0, found.index)).sub_(query).neg_();
    patches.normal_cosine[i].copy_(found.max_cosine);
  });
  return patches;
}

at::Tensor EpisodeLoader::labels(std::span<const Episode> episodes) const {
  std::vector<float> labels;
  for (const auto& episode : episodes) {
    labels.push_back(picture(episode.query).anomalous() ? 1.0F : 0.0F);
  }
  return upload(torch::tensor(labels), device_);
}

at::Tensor EpisodeLoader::masks(std::span<const Episode> episodes) const {
  std::vector<at::Tensor> masks;
  for (const auto& episode : episodes) masks.push_back(store_.network_mask(get(episode.query)));
  return upload(at::stack(masks), device_);
}

}  // namespace nagl
