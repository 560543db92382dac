#include "nagl/model/reference_bank.h"

#include <numeric>
#include <stdexcept>
#include <utility>

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

bool uses_normal(Method method) { return method != Method::kAbnormalNn; }
bool uses_abnormal(Method method) { return method != Method::kNormalNn; }
bool uses_head(Method method) { return method == Method::kNagl; }

ReferenceFeatures ReferenceFeatures::of_pictures(const at::Tensor& normal,
                                                 const at::Tensor& abnormal,
                                                 const at::Tensor& patch_mask) {
  const c10::InferenceMode guard;
  if (normal.dim() != 3) throw std::invalid_argument("ReferenceBank: normal must be [K1, N, C]");
  ReferenceFeatures features;
  features.normal = normal.flatten(0, 1).contiguous();
  features.normal_rows.assign(static_cast<std::size_t>(normal.size(0)), normal.size(1));
  if (!abnormal.defined()) return features;
  const bool fits = abnormal.dim() == 3 && patch_mask.defined() && patch_mask.dim() == 2 &&
                    patch_mask.size(0) == abnormal.size(0) &&
                    patch_mask.size(1) == abnormal.size(1) && abnormal.size(2) == normal.size(2);
  if (!fits) {
    throw std::invalid_argument("ReferenceBank: abnormal must be [K2, N, C], patch_mask [K2, N]");
  }
  features.patch_mask = patch_mask.to(abnormal.device(), at::kBool);
  const at::Tensor marked = features.patch_mask.flatten().nonzero().squeeze(1);
  features.abnormal = abnormal.flatten(0, 1).index_select(0, marked);
  features.abnormal_views.assign(static_cast<std::size_t>(abnormal.size(0)), 1);
  return features;
}

at::Tensor ReferenceFeatures::normal_picture(std::int64_t index) const {
  const auto at = normal_rows.begin() + index;
  const std::int64_t begin = std::accumulate(normal_rows.begin(), at, std::int64_t{0});
  return normal.slice(0, begin, begin + *at);
}

ReferenceFeatures ReferenceFeatures::without_normal(std::int64_t index) const {
  ReferenceFeatures others = *this;
  const auto at = others.normal_rows.begin() + index;
  const std::int64_t begin = std::accumulate(others.normal_rows.begin(), at, std::int64_t{0});
  others.normal = at::cat({normal.slice(0, 0, begin), normal.slice(0, begin + *at)});
  others.normal_rows.erase(at);
  return others;
}

ReferenceFeatures ReferenceFeatures::without_abnormal(std::int64_t index) const {
  ReferenceFeatures others = *this;
  const auto at = others.abnormal_views.begin() + index;
  const std::int64_t begin = std::accumulate(others.abnormal_views.begin(), at, std::int64_t{0});
  const std::int64_t end = begin + *at;
  const std::int64_t first = patch_mask.slice(0, 0, begin).sum().item<std::int64_t>();
  const std::int64_t last = first + patch_mask.slice(0, begin, end).sum().item<std::int64_t>();
  others.abnormal_views.erase(at);
  if (others.abnormal_views.empty()) {
    others.abnormal = others.patch_mask = at::Tensor();
    return others;
  }
  others.abnormal = at::cat({abnormal.slice(0, 0, first), abnormal.slice(0, last)});
  others.patch_mask = at::cat({patch_mask.slice(0, 0, begin), patch_mask.slice(0, end)});
  return others;
}

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
                             Precision precision)
    : features_(std::move(features)), head_(std::move(head)), grid_(grid), precision_(precision) {
  const c10::InferenceMode guard;
  const bool halved = precision != Precision::kFloat32 && features_.normal.is_cuda();
  const auto sum = [](const std::vector<std::int64_t>& counts) {
    return std::accumulate(counts.begin(), counts.end(), std::int64_t{0});
  };
  if (features_.normal.dim() != 2 || features_.normal.size(0) != sum(features_.normal_rows)) {
    throw std::invalid_argument("ReferenceBank: normal must be [R, C], R rows in all pictures");
  }
  if (features_.normal.size(0) > 0) normal_ = NeighborRows(features_.normal, halved);
  if (!features_.abnormal.defined()) return;
  const at::Tensor& mask = features_.patch_mask;
  const bool fits = mask.dim() == 2 && mask.size(0) == sum(features_.abnormal_views) &&
                    features_.abnormal.dim() == 2 &&
                    features_.abnormal.size(1) == features_.normal.size(1) &&
                    mask.sum().item<std::int64_t>() == features_.abnormal.size(0);
  if (!fits) throw std::invalid_argument("ReferenceBank: abnormal rows do not fit their mask");
  if (!mask.any(1).all().item<bool>()) {
    throw std::invalid_argument("ReferenceBank: an abnormal reference has an empty patch mask");
  }
  abnormal_ = NeighborRows(features_.abnormal, halved);
  if (head_.is_empty() || normal_.size() == 0) return;
  if (grid.size() != mask.size(1)) {
    throw std::invalid_argument("ReferenceBank: the grid does not have N patches");
  }
  abnormal_positions_ =
      masked_position_encoding(mask.reshape({1, mask.size(0), grid.rows, grid.columns}),
                               abnormal_.rows.size(1), mask.flatten().nonzero().t());
  query_positions_ = position_encoding(grid, features_.normal.size(1)).to(features_.normal);
  residual_proxies_ = mine();
}

void ReferenceBank::check(Method method) const {
  if (uses_normal(method) && normal_count() == 0) {
    throw ConfigError("method " + to_string(method) + " needs normal references");
  }
  if (uses_head(method)) {
    if (head_.is_empty()) {
      throw ConfigError("method " + to_string(method) +
                        " needs a trained head; give --model, the model.safetensors of nagl train");
    }
    return;  // without abnormal references it is normal_nn
  }
  if (uses_abnormal(method) && abnormal_count() == 0) {
    throw ConfigError("method " + to_string(method) +
                      " needs abnormal references; give --abnormal, or use --method normal_nn");
  }
}

Method ReferenceBank::effective(Method method) const {
  return method == Method::kNagl && abnormal_count() == 0 ? Method::kNormalNn : method;
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

at::Tensor ReferenceBank::score(const at::Tensor& features, Method method) const {
  return scores(features, {method}).front();
}

std::vector<at::Tensor> ReferenceBank::scores(const at::Tensor& features,
                                              const std::vector<Method>& methods) const {
  const c10::InferenceMode guard;
  for (const Method method : methods) check(method);
  const std::int64_t batch = features.size(0), patches = features.size(1);
  const at::Tensor queries = features.flatten(0, 1);
  const auto by_picture = [&](const at::Tensor& values) {
    return values.reshape({batch, patches});
  };
  bool normal_used = false, abnormal_used = false, head_used = false;
  for (const Method asked : methods) {
    const Method method = effective(asked);
    normal_used |= uses_normal(method);
    abnormal_used |= uses_abnormal(method) && !uses_head(method);
    head_used |= uses_head(method);
  }

  at::Tensor normal, abnormal, learnt;  // cosines, [B, N']
  if (head_used) {
    const auto found = nearest_neighbors(queries, normal_, head_->options().residual_metric);
    normal = by_picture(found.max_cosine);
    QueryPatches query;
    query.features = features;
    query.residuals =
        (queries - normal_.rows.index_select(0, found.index)).reshape(features.sizes());
    query.normal_cosine = normal;
    query.grid = grid_;
    query.positions = query_positions_;
    const auto proxies = residual_proxies_.expand({batch, -1, -1});
    learnt = mean_cosine(features, head_->learn(proxies, query));
  } else if (normal_used) {
    normal = by_picture(max_cosine(queries, normal_));
  }
  if (abnormal_used) abnormal = by_picture(max_cosine(queries, abnormal_));

  std::vector<at::Tensor> scores;
  for (const Method asked : methods) {
    const Method method = effective(asked);
    scores.push_back(
        combine(uses_normal(method) ? normal : at::Tensor(),
                uses_head(method) ? learnt : (uses_abnormal(method) ? abnormal : at::Tensor())));
  }
  return scores;
}

at::Tensor ReferenceBank::score_left_out(const at::Tensor& features, std::int64_t index,
                                         Method method) const {
  const c10::InferenceMode guard;
  check(method);
  if (index < 0 || index >= normal_count()) throw std::invalid_argument("no such normal reference");
  if (!uses_normal(method)) return score(features, method);
  if (normal_count() < 2) {
    throw ConfigError("leaving a reference out needs at least two normal references");
  }
  return ReferenceBank(features_.without_normal(index), head_, grid_, precision_)
      .score(features, method);
}

double image_score(const at::Tensor& patch_scores) {
  return image_scores(patch_scores.to(at::kDouble).unsqueeze(0)).item<double>();
}

}  // namespace nagl
