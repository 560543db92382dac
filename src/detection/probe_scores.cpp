#include "probe_scores.h"

#include <algorithm>
#include <opencv2/core.hpp>

namespace nagl {

std::vector<std::size_t> spread(std::size_t total, std::size_t count) {
  std::vector<std::size_t> chosen;
  const std::size_t used = std::min(total, count);
  for (std::size_t i = 0; i < used; ++i) chosen.push_back(i * total / used);
  return chosen;
}

bool holds_views(const Bank& bank) {
  const bool some = !bank.roi.empty() && uses_head(bank.options.method);
  return !bank.features.thinned && bank.options.coreset == 1 && !some;
}

at::Tensor scattered(const at::Tensor& rows, const at::Tensor& inside) {
  at::Tensor all = at::zeros({inside.numel(), rows.size(1)}, rows.options());
  return all.index_put_({inside.to(rows.device())}, rows);
}

at::Tensor spread_rows(const at::Tensor& scores) {
  std::vector<at::Tensor> used;
  for (const auto i : spread(static_cast<std::size_t>(scores.size(0)))) {
    used.push_back(scores[static_cast<std::int64_t>(i)]);
  }
  return at::stack(used);
}

void ProbeCollector::begin_picture(const PictureEncoder& encoder, const cv::Mat& rgb, bool first) {
  mirrored_.clear();
  if (!first) return;
  const TileGrid tiles = encoder.tiles_of(rgb);
  cv::Mat mirror;
  cv::flip(rgb, mirror, /*around the vertical axis*/ 1);
  for (const auto i : spread(tiles.count())) {
    mirrored_.push_back(encoder.pixels(mirror(tiles.at(i))));
  }
}

void ProbeCollector::see(std::int64_t picture, std::size_t tile, std::size_t total,
                         const at::Tensor& features) {
  const auto stands_for_picture = spread(total);
  if (!keep_ || !std::binary_search(stands_for_picture.begin(), stands_for_picture.end(), tile)) {
    return;
  }
  if (seen_++ % stride_ != 0) return;
  kept_.push_back({picture, features.clone()});
  if (kept_.size() < 2 * kMostProbes) return;
  for (std::size_t i = 0; i < kMostProbes; ++i) kept_[i] = kept_[2 * i];
  kept_.resize(kMostProbes);
  stride_ *= 2;
}

void ProbeCollector::forget(std::int64_t places) {
  if (places == 0) return;
  std::erase_if(kept_, [&](const Probe& probe) { return probe.picture <= places; });
  for (auto& probe : kept_) probe.picture -= places;
}

std::vector<ProbeCollector::Probe> ProbeCollector::chosen(const PictureEncoder& encoder,
                                                          const Bank& bank) const {
  std::vector<Probe> all;
  if (!holds_views(bank)) {
    all = kept_;
  } else {
    // The places first: a probe of a region of interest is a copy.
    struct Place {
      std::int64_t picture, tile;
    };
    std::vector<Place> places;
    const std::int64_t patches = encoder.grid().size();
    const ReferenceFeatures& features = bank.features;
    for (std::int64_t i = 0; i < features.normal_count(); ++i) {
      const std::int64_t tiles = features.counted.defined() ? 1 : features.view_rows(i) / patches;
      for (const auto tile : spread(static_cast<std::size_t>(tiles))) {
        places.push_back({i, static_cast<std::int64_t>(tile)});
      }
    }
    for (const auto i : spread(places.size())) {
      const auto [picture, tile] = places[i];
      const at::Tensor rows = features.normal_picture_unturned(picture);
      all.push_back({picture, features.counted.defined()
                                  ? scattered(rows, features.counted)
                                  : rows.slice(0, tile * patches, (tile + 1) * patches)});
    }
  }
  std::vector<Probe> chosen;
  for (const auto i : spread(all.size())) chosen.push_back(all[i]);
  return chosen;
}

at::Tensor ProbeCollector::score(const PictureEncoder& encoder, const Bank& bank,
                                 const at::Tensor& earlier) const {
  const Method method = bank.options.method;
  const at::Tensor& inside = bank.features.counted;
  const ReferenceBank references(bank.features, bank.head ? bank.head->head : NaglHead(nullptr),
                                 encoder.grid(), Precision::kFloat32, bank.options.discriminant);
  references.check(method);
  std::vector<at::Tensor> scores;
  if (!uses_normal(method) || references.normal_count() > 1) {
    for (const auto& [picture, features] : chosen(encoder, bank)) {
      // Without its copies too, which would make it look better than a further picture.
      const auto same = same_shots(bank.normal, bank.normal[static_cast<std::size_t>(picture)]);
      if (uses_normal(method) && same.size() == bank.normal.size()) continue;
      scores.push_back(references.score_left_out(features.unsqueeze(0), same, method));
    }
  }
  for (const auto& pixels : mirrored_) {
    // Turned back, so that each patch lies where it does in the picture.
    scores.push_back(references.score(encoder.encode(pixels.unsqueeze(0)), method)
                         .reshape({1, encoder.grid().rows, encoder.grid().columns})
                         .flip({2})
                         .flatten(1));
  }
  if (inside.defined()) {
    for (auto& row : scores) {
      const at::Tensor counted = inside.to(row.device()).unsqueeze(0);
      row = at::where(counted, row, row.masked_select(counted).min());
    }
  }
  // The rows of a thinned bank do not tell how its earlier pictures scored; that was kept.
  if (!holds_views(bank) && earlier.defined()) {
    for (const auto& row : earlier.split(1)) scores.push_back(row);
  }
  std::vector<at::Tensor> used;
  for (const auto i : spread(scores.size())) used.push_back(scores[i].to(at::kCPU));
  return used.empty() ? at::Tensor() : at::cat(used);
}

}  // namespace nagl
