#include "nagl/model/standardised_score.h"

#include <fmt/format.h>

#include <algorithm>
#include <vector>

#include "nagl/core/error.h"

namespace nagl {
namespace {

constexpr std::int64_t kMostLeftOut = 16;  // normal pictures that stand for all
constexpr std::int64_t kNeighborhood = 2;  // patches around one that are too like it
/// In the place of `kShrinkage` where surroundings do not tell how good patches vary from picture
/// to picture (docs/methods.md has the figures).
constexpr double kShrinkageAlone = 1;
/// Least deviation of distances: references that are all the same picture have none.
constexpr double kLeastDeviation = 0.01;

at::Tensor distances(const at::Tensor& cosines) { return 1 - cosines; }

/// Of good patches of pictures of defects to everything else that is good.
at::Tensor surroundings_distances(const std::vector<at::Tensor>& pictures,
                                  const NeighborRows& normal, bool in_memory) {
  std::vector<at::Tensor> all;
  for (std::size_t i = 0; i < pictures.size(); ++i) {
    if (pictures[i].size(0) == 0) continue;
    at::Tensor cosine = max_cosine(pictures[i], normal);
    for (std::size_t j = 0; j < pictures.size() && in_memory; ++j) {
      if (j == i || pictures[j].size(0) == 0) continue;
      cosine = at::maximum(cosine, max_cosine(pictures[i], NeighborRows(pictures[j])));
    }
    all.push_back(distances(cosine));
  }
  return all.empty() ? at::Tensor() : at::cat(all);
}

/// Of each of up to 16 normal pictures to the others.
at::Tensor left_out_distances(const ReferenceFeatures& features) {
  // What several pictures left together is not like what one does.
  const std::int64_t first = features.merged > 0 ? 1 : 0, count = features.normal_count() - first;
  const std::int64_t used = std::min(count, kMostLeftOut);
  std::vector<at::Tensor> all;
  for (std::int64_t i = 0; i < used; ++i) {
    const std::int64_t index = first + i * count / used;
    const NeighborRows others(features.without_normal(index).normal);
    const at::Tensor own = features.normal_picture_unturned(index);
    if (own.size(0) > 0) all.push_back(distances(max_cosine(own, others)));
  }
  return all.empty() ? at::zeros({1}) : at::cat(all);
}

/// Of the patches of a lone picture to those of its own that do not lie next to them. (Its turned
/// copies are too unlike it.) The rows of a thinned one count as if none lay next to each other.
at::Tensor own_distances(const ReferenceFeatures& features, PatchGrid grid) {
  const at::Tensor own = features.normal_picture_unturned(0);
  // Where the rows of a view lie on the grid.
  const at::Tensor places = features.counted.defined()
                                ? features.counted.nonzero().squeeze(1).to(own.device())
                                : at::arange(grid.size(), own.options().dtype(at::kLong));
  const bool in_views =
      !features.thinned && places.size(0) > 0 && own.size(0) % places.size(0) == 0;
  const at::Tensor views =
      in_views ? own.reshape({-1, places.size(0), own.size(1)}) : own.unsqueeze(0);
  const std::int64_t patches = views.size(1);
  at::Tensor near = at::eye(patches, own.options().dtype(at::kBool));
  if (in_views) {
    const at::Tensor y = at::div(places, grid.columns, "floor"), x = places % grid.columns;
    const auto close = [](const at::Tensor& at) {
      return (at.unsqueeze(0) - at.unsqueeze(1)).abs().le(kNeighborhood);
    };
    near = close(y).logical_and(close(x));
  }
  const at::Tensor counts = near.all(1).logical_not();  // in small pictures some have no others
  if (!counts.any().item<bool>()) return at::zeros({1}, own.options());
  std::vector<at::Tensor> all;
  for (std::int64_t i = 0; i < views.size(0); ++i) {
    const at::Tensor units = unit_rows(views[i]);
    const at::Tensor cosine = at::mm(units, units.t()).masked_fill(near, -1);
    all.push_back(distances(cosine.amax(1).index({counts})));
  }
  return at::cat(all);
}

}  // namespace

void DiscriminantOptions::check() const {
  if (weight && !(*weight >= 0 && *weight <= 100)) {
    throw ConfigError(fmt::format("abnormal weight {} is not in 0..100", *weight));
  }
}

double DiscriminantOptions::weight_for(std::int64_t defects) const {
  constexpr double kOfOne = 0.2, kOfSeveral = 0.3;
  return weight.value_or(defects > 1 ? kOfSeveral : kOfOne);
}

Standardisation Standardisation::of(const at::Tensor& scores, double least) {
  const at::Tensor values = scores.to(at::kDouble);
  return {values.mean().item<double>(),
          std::max(values.std(/*unbiased=*/false).item<double>(), least)};
}

StandardisedDistance::StandardisedDistance(const ReferenceFeatures& features,
                                           const NeighborRows& normal, PatchGrid grid,
                                           const DiscriminantOptions& options) {
  const c10::InferenceMode guard;
  const at::Tensor& around = features.surroundings;
  at::Tensor usual;
  if (around.size(0) >= kEnoughPatches) {
    usual =
        surroundings_distances(features.surroundings_by_picture(), normal, options.surroundings);
  } else if (features.normal_count() > 1) {
    usual = left_out_distances(features);
  } else {
    usual = own_distances(features, grid);
  }
  usual_ = Standardisation::of(usual, kLeastDeviation);
  if (options.surroundings && around.size(0) > 0) {
    surroundings_ = NeighborRows(around, normal.halves.defined());
  }
}

at::Tensor StandardisedDistance::scores(const at::Tensor& queries,
                                        const at::Tensor& normal_cosine) const {
  at::Tensor cosine = normal_cosine;
  if (surroundings_.size() > 0) cosine = at::maximum(cosine, max_cosine(queries, surroundings_));
  return usual_(distances(cosine));
}

LinearDiscriminant discriminant_of(const ReferenceFeatures& features) {
  const c10::InferenceMode guard;
  FeatureMoments around, good;
  for (const auto& moments : features.abnormal_moments) around = around.with(moments);
  for (const auto& moments : features.normal_moments) good = good.with(moments);
  good = good.with(around);
  const at::Tensor defects = features.drawn_abnormal();
  if (defects.size(0) == 0) return {at::zeros_like(good.mean), 0};
  return fisher_discriminant(good, unit_rows(defects),
                             around.count >= kEnoughPatches ? kShrinkage : kShrinkageAlone);
}

}  // namespace nagl
