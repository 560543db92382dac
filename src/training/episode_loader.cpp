#include "nagl/training/episode_loader.h"

#include <utility>

namespace nagl {

EpisodeLoader::EpisodeLoader(const FeatureStore& store, const std::vector<SourcePicture>& pictures,
                             std::vector<std::string> keys, ResidualMetric metric,
                             std::uint64_t cache_bytes, at::Device device)
    : store_(store),
      pictures_(pictures),
      keys_(std::move(keys)),
      metric_(metric),
      cache_(cache_bytes),
      device_(device) {}

at::Tensor EpisodeLoader::features(std::int64_t index) const {
  return get(index).features.to(device_).to(at::kFloat);
}

bool EpisodeLoader::has_marked_patch(std::int64_t index) const {
  return get(index).patch_mask.any().item<bool>();
}

DefectPatches EpisodeLoader::references(std::span<const Episode> episodes) {
  const PatchGrid shape = grid();
  // Masks stay on the CPU until it is known which patches to keep: that must not wait for a device.
  std::vector<at::Tensor> features_of, masks_of;
  for (const auto& episode : episodes) {
    std::vector<at::Tensor> features, masks;
    for (const auto picture : episode.abnormal) {
      const StoredPicture stored = get(picture);
      features.push_back(stored.features);
      masks.push_back(stored.patch_mask);
    }
    features_of.push_back(features.size() == 1 ? features.front() : at::cat(features));
    masks_of.push_back(at::cat(masks));
  }
  const auto mask = at::stack(masks_of);  // [B, K2 * N]
  const PackedTokens packed = pack_masked(mask);

  DefectPatches patches;
  patches.mask = packed.mask.to(device_);
  patches.positions = masked_position_encoding(
      mask.reshape({mask.size(0), -1, shape.rows, shape.columns}), store_.format().width,
      packed.index);
  patches.positions = patches.positions.to(device_);
  patches.features = at::zeros(patches.positions.sizes(), patches.positions.options());
  patches.residuals = at::zeros_like(patches.features);
  for (std::size_t i = 0; i < episodes.size(); ++i) {
    const auto row = static_cast<std::int64_t>(i);
    const auto count = packed.mask[row].sum().item<std::int64_t>();
    const auto kept = features_of[i]
                          .index_select(0, packed.index[row].slice(0, 0, count))
                          .to(device_)
                          .to(at::kFloat);
    std::vector<at::Tensor> normal;
    for (const auto picture : episodes[i].normal) normal.push_back(features(picture));
    const NeighborRows references(normal.size() == 1 ? normal.front() : at::cat(normal));
    patches.features[row].slice(0, 0, count).copy_(kept);
    patches.residuals[row].slice(0, 0, count).copy_(residuals(kept, references, metric_));
  }
  return patches;
}

QueryPatches EpisodeLoader::queries(std::span<const Episode> episodes) {
  std::vector<at::Tensor> features_of, residuals_of, cosines;
  for (const auto& episode : episodes) {
    const auto query = features(episode.query);
    std::vector<at::Tensor> normal;
    NearestNeighbors found;
    for (const auto picture : episode.normal) {
      normal.push_back(get(picture).features);
      const auto here = cache_.get(episode.query, picture, [&] {
        return nearest_neighbors(query, NeighborRows(features(picture)), metric_);
      });
      const auto offset = static_cast<std::int64_t>(normal.size() - 1) * grid().size();
      found = normal.size() == 1 ? here : merge(found, here, offset);
    }
    const auto rows = normal.size() == 1 ? normal.front() : at::cat(normal);
    const auto nearest = rows.to(device_).index_select(0, found.index).to(at::kFloat);
    features_of.push_back(query);
    residuals_of.push_back(query - nearest);
    cosines.push_back(found.max_cosine);
  }
  QueryPatches patches;
  patches.features = at::stack(features_of);
  patches.residuals = at::stack(residuals_of);
  patches.normal_cosine = at::stack(cosines);
  patches.grid = grid();
  return patches;
}

at::Tensor EpisodeLoader::labels(std::span<const Episode> episodes) const {
  at::Tensor labels = at::empty({static_cast<std::int64_t>(episodes.size())}, at::kFloat);
  for (std::size_t i = 0; i < episodes.size(); ++i) {
    labels[static_cast<std::int64_t>(i)] = picture(episodes[i].query).anomalous() ? 1.0F : 0.0F;
  }
  return labels.to(device_);
}

at::Tensor EpisodeLoader::masks(std::span<const Episode> episodes) const {
  std::vector<at::Tensor> masks;
  for (const auto& episode : episodes) masks.push_back(get(episode.query).network_mask);
  return at::stack(masks).to(device_);
}

}  // namespace nagl
