#include "nagl/model/reference_bank.h"

#include <map>
#include <mutex>
#include <stdexcept>
#include <utility>
#include <vector>

#include "nagl/core/error.h"
#include "nagl/nn/image_score.h"

namespace nagl {
namespace {

at::Tensor combine(const at::Tensor& normal_cosine, const at::Tensor& abnormal_cosine) {
  if (!abnormal_cosine.defined()) return (1 - normal_cosine) / 2;
  if (!normal_cosine.defined()) return (1 + abnormal_cosine) / 2;
  return (2 + abnormal_cosine - normal_cosine) / 4;
}

}  // namespace

struct ReferenceBank::Graphs {
  std::mutex mutex;
  std::map<std::vector<Method>, GraphCache> by_methods;

  GraphCache& of(const std::vector<Method>& methods) {
    const std::lock_guard lock(mutex);
    return by_methods[methods];
  }
};

ReferenceBank::ReferenceBank(const at::Tensor& normal, const at::Tensor& abnormal,
                             const at::Tensor& patch_mask, NaglHead head, PatchGrid grid,
                             Precision precision)
    : ReferenceBank(ReferenceFeatures::of_pictures(normal, abnormal, patch_mask), std::move(head),
                    grid, precision) {
  if (!head_.is_empty() && grid.size() != normal.size(1)) {
    throw std::invalid_argument("ReferenceBank: the grid does not have N patches");
  }
}

ReferenceBank::ReferenceBank(ReferenceFeatures features, NaglHead head, PatchGrid grid,
                             Precision precision, const std::optional<DiscriminantOptions>& options)
    : features_(std::move(features)),
      head_(std::move(head)),
      grid_(grid),
      precision_(precision),
      options_(options) {
  const c10::InferenceMode guard;
  features_.check();
  const bool halved = precision != Precision::kFloat32;
  if (features_.normal.size(0) > 0) normal_ = NeighborRows(features_.normal, halved);
  if (!features_.abnormal.defined()) return;
  abnormal_ = NeighborRows(features_.abnormal, halved);
  if (options_ && features_.surroundings.defined() && normal_.size() > 0) {
    distance_.emplace(features_, normal_, grid, *options_);
    discriminant_ = discriminant_of(features_);
    weight_ = options_->weight_for(features_.drawn_count());
  }
  const at::Tensor& mask = features_.patch_mask;
  if (head_.is_empty() || normal_.size() == 0) return;
  if (grid.size() != mask.size(1)) {
    throw std::invalid_argument("ReferenceBank: the grid does not have N patches");
  }
  abnormal_positions_ =
      masked_position_encoding(mask.reshape({1, mask.size(0), grid.rows, grid.columns}),
                               abnormal_.rows.size(1), mask.flatten().nonzero().t());
  query_positions_ = position_encoding(grid, features_.normal.size(1)).to(features_.normal);
  residual_proxies_ = mine();
  if (distance_) usual_learnt_ = usual_learnt();
}

void ReferenceBank::check(Method method) const {
  if (uses_normal(method) && normal_count() == 0) {
    throw ConfigError("method " + to_string(method) + " needs normal references");
  }
  if (uses_head(method) && head_.is_empty()) {
    throw ConfigError("method " + to_string(method) +
                      " needs a trained head; give --model, the model.safetensors of nagl train");
  }
  if (needs_abnormal(method) && abnormal_count() == 0) {
    throw ConfigError("method " + to_string(method) +
                      " needs abnormal references; give --abnormal, or use --method normal_nn");
  }
  if (range_of(effective(method)) == ScoreRange::kUnbounded && !distance_) {
    throw ConfigError("method " + to_string(method) +
                      " needs the whole pictures of defects, which this bank does not hold; enroll "
                      "again");
  }
}

at::Tensor ReferenceBank::mine() const {
  const ResidualMetric metric = head_->options().residual_metric;
  DefectPatches patches;
  patches.features = abnormal_.rows.unsqueeze(0);
  patches.residuals = residuals(abnormal_.rows, normal_, metric).unsqueeze(0);
  patches.positions = abnormal_positions_;
  patches.mask = at::ones({1, abnormal_.size()}, abnormal_.rows.options().dtype(at::kBool));
  return head_->mine(patches);
}

at::Tensor ReferenceBank::learnt_cosine(const at::Tensor& features, const NearestNeighbors& found,
                                        const at::Tensor& positions) const {
  QueryPatches query;
  query.features = features;
  query.residuals = features - normal_.rows.index_select(0, found.index).reshape(features.sizes());
  query.normal_cosine = found.max_cosine.reshape({features.size(0), features.size(1)});
  query.grid = grid_;
  query.positions = positions;
  const auto proxies = residual_proxies_.expand({features.size(0), -1, -1});
  return mean_cosine(features, head_->learn(proxies, query));
}

/// What good patches have: the surroundings of defects, each view with what is kept of it as if it
/// were a query. Too few of them leave the branch as it is.
Standardisation ReferenceBank::usual_learnt() const {
  constexpr double kLeastDeviation = 0.001;
  if (features_.surroundings.size(0) < kEnoughPatches) return {};
  const at::Tensor &clear = features_.clear, &mask = features_.patch_mask;
  at::Tensor views =
      at::zeros({clear.size(0), clear.size(1), normal_.rows.size(1)}, normal_.rows.options());
  views.index_put_({clear}, features_.surroundings);
  views.index_put_({mask}, features_.abnormal);
  std::vector<at::Tensor> scores;
  for (std::int64_t i = 0; i < views.size(0); ++i) {
    const at::Tensor kept = clear[i].logical_or(mask[i]);
    if (!clear[i].any().item<bool>()) continue;
    const at::Tensor view = views[i].index({kept});
    const auto found = nearest_neighbors(view, normal_, head_->options().residual_metric);
    const at::Tensor cosine =
        learnt_cosine(view.unsqueeze(0), found, query_positions_.index({kept}));
    scores.push_back(cosine[0].index({clear[i].index({kept})}));
  }
  return Standardisation::of(at::cat(scores), kLeastDeviation);
}

at::Tensor ReferenceBank::score(const at::Tensor& features, Method method) const {
  return scores(features, {method}).front();
}

void ReferenceBank::record_scoring() { graphs_ = std::make_shared<Graphs>(); }

GraphCounts ReferenceBank::graph_counts() const {
  GraphCounts counts;
  if (!graphs_) return counts;
  const std::lock_guard lock(graphs_->mutex);
  for (const auto& [methods, cache] : graphs_->by_methods) {
    const GraphCounts own = cache.counts();
    counts.recorded += own.recorded;
    counts.replayed += own.replayed;
    counts.failed += own.failed;
  }
  return counts;
}

std::vector<at::Tensor> ReferenceBank::scores(const at::Tensor& features,
                                              const std::vector<Method>& methods) const {
  const c10::InferenceMode guard;
  for (const Method method : methods) check(method);
  if (!graphs_ || features.is_cpu()) return scores_as_asked(features, methods);
  return graphs_->of(methods)
      .run(features,
           [&](const at::Tensor& input) { return at::stack(scores_as_asked(input, methods)); })
      .unbind();
}

std::vector<at::Tensor> ReferenceBank::scores_as_asked(const at::Tensor& features,
                                                       const std::vector<Method>& methods) const {
  const std::int64_t batch = features.size(0), patches = features.size(1);
  const at::Tensor queries = features.flatten(0, 1);
  const auto by_picture = [&](const at::Tensor& values) {
    return values.reshape({batch, patches});
  };
  bool normal_used = false, abnormal_used = false, head_used = false;
  for (const Method asked : methods) {
    const Method method = effective(asked);
    normal_used |= uses_normal(method);
    abnormal_used |= method == Method::kAbnormalNn || method == Method::kBothNn;
    head_used |= uses_head(method);
  }

  at::Tensor normal, abnormal, learnt;  // cosines, [B, N']
  at::Tensor distance;                  // standardised, [B, N']
  if (head_used) {
    const auto found = nearest_neighbors(queries, normal_, head_->options().residual_metric);
    normal = by_picture(found.max_cosine);
    learnt = learnt_cosine(features, found, query_positions_);
  } else if (normal_used) {
    normal = by_picture(max_cosine(queries, normal_));
  }
  if (abnormal_used) abnormal = by_picture(max_cosine(queries, abnormal_));

  std::vector<at::Tensor> scores;
  for (const Method asked : methods) {
    const Method method = effective(asked);
    if (range_of(method) == ScoreRange::kUnbounded) {
      if (!distance.defined()) distance = by_picture(distance_->scores(queries, normal.flatten()));
      const at::Tensor known = method == Method::kDiscriminant
                                   ? by_picture(discriminant_->project(unit_rows(queries)))
                                   : usual_learnt_(learnt);
      scores.push_back(distance + known * weight_);
      continue;
    }
    scores.push_back(
        combine(uses_normal(method) ? normal : at::Tensor(),
                uses_head(method) ? learnt : (uses_abnormal(method) ? abnormal : at::Tensor())));
  }
  return scores;
}

at::Tensor ReferenceBank::score_left_out(const at::Tensor& features,
                                         const std::vector<std::int64_t>& indices,
                                         Method method) const {
  const c10::InferenceMode guard;
  check(method);
  for (const auto index : indices) {
    if (index < 0 || index >= normal_count()) {
      throw std::invalid_argument("no such normal reference");
    }
  }
  if (!uses_normal(method)) return score(features, method);
  if (normal_count() <= static_cast<std::int64_t>(indices.size())) {
    throw ConfigError("leaving a reference out needs at least two normal references");
  }
  return ReferenceBank(features_.without_normal(indices), head_, grid_, precision_, options_)
      .score(features, method);
}

double image_score(const at::Tensor& patch_scores, double top_share) {
  return image_scores(patch_scores.to(at::kDouble).unsqueeze(0), top_share).item<double>();
}

}  // namespace nagl
