#include "nagl/model/reference_bank.h"

#include <stdexcept>
#include <utility>

#include "nagl/core/error.h"
#include "nagl/nn/image_score.h"

namespace nagl {
namespace {

constexpr struct {
  Method method;
  const char* name;
  bool normal, abnormal, head;
} kMethods[] = {
    {Method::kNormalNn, "normal_nn", true, false, false},
    {Method::kAbnormalNn, "abnormal_nn", false, true, false},
    {Method::kBothNn, "both_nn", true, true, false},
    {Method::kNagl, "nagl", true, true, true},
};

const auto& row_of(Method method) { return kMethods[static_cast<std::size_t>(method)]; }

at::Tensor combine(const at::Tensor& normal_cosine, const at::Tensor& abnormal_cosine) {
  if (!abnormal_cosine.defined()) return (1 - normal_cosine) / 2;
  if (!normal_cosine.defined()) return (1 + abnormal_cosine) / 2;
  return (2 + abnormal_cosine - normal_cosine) / 4;
}

}  // namespace

Method parse_method(const std::string& name) {
  for (const auto& row : kMethods) {
    if (name == row.name) return row.method;
  }
  throw ConfigError("method '" + name + "' is not one of normal_nn, abnormal_nn, both_nn, nagl");
}

void parse(const std::string& name, Method& method) { method = parse_method(name); }
std::string to_string(Method method) { return row_of(method).name; }
bool uses_normal(Method method) { return row_of(method).normal; }
bool uses_abnormal(Method method) { return row_of(method).abnormal; }
bool uses_head(Method method) { return row_of(method).head; }

ReferenceBank::ReferenceBank(const at::Tensor& normal, const at::Tensor& abnormal,
                             const at::Tensor& patch_mask, NaglHead head, PatchGrid grid)
    : head_(std::move(head)), grid_(grid) {
  const c10::InferenceMode guard;
  if (normal.dim() != 3) throw std::invalid_argument("ReferenceBank: normal must be [K1, N, C]");
  normal_count_ = normal.size(0);
  patches_ = normal.size(1);
  if (!head_.is_empty() && grid.size() != patches_) {
    throw std::invalid_argument("ReferenceBank: the grid does not have N patches");
  }
  if (normal_count_ > 0) normal_ = NeighborRows(normal.flatten(0, 1).contiguous());
  if (!abnormal.defined()) return;
  const bool fits = abnormal.dim() == 3 && patch_mask.defined() && patch_mask.dim() == 2 &&
                    patch_mask.size(0) == abnormal.size(0) &&
                    patch_mask.size(1) == abnormal.size(1) && abnormal.size(2) == normal.size(2);
  if (!fits) {
    throw std::invalid_argument("ReferenceBank: abnormal must be [K2, N, C], patch_mask [K2, N]");
  }
  abnormal_count_ = abnormal.size(0);
  const at::Tensor mask = patch_mask.to(abnormal.device(), at::kBool);
  if (!mask.any(1).all().item<bool>()) {
    throw std::invalid_argument("ReferenceBank: an abnormal reference has an empty patch mask");
  }
  const at::Tensor marked = mask.flatten().nonzero().squeeze(1);
  abnormal_ = NeighborRows(abnormal.flatten(0, 1).index_select(0, marked));
  if (head_.is_empty() || normal_count_ == 0) return;
  abnormal_positions_ =
      masked_position_encoding(mask.reshape({1, abnormal_count_, grid.rows, grid.columns}),
                               abnormal.size(2), marked.unsqueeze(0));
  residual_proxies_ = mine({{0, normal_.size()}});
}

void ReferenceBank::check(Method method) const {
  if (uses_normal(method) && normal_count_ == 0) {
    throw ConfigError("method " + to_string(method) + " needs normal references");
  }
  if (uses_head(method)) {
    if (head_.is_empty()) {
      throw ConfigError("method " + to_string(method) +
                        " needs a trained head; give --model, the model.safetensors of nagl train");
    }
    return;  // without abnormal references it is normal_nn
  }
  if (uses_abnormal(method) && abnormal_count_ == 0) {
    throw ConfigError("method " + to_string(method) +
                      " needs abnormal references and their masks; give --abnormal and --masks, or "
                      "use --method normal_nn");
  }
}

Method ReferenceBank::effective(Method method) const {
  return method == Method::kNagl && abnormal_count_ == 0 ? Method::kNormalNn : method;
}

at::Tensor ReferenceBank::normal_cosine(const at::Tensor& queries, const Ranges& ranges) const {
  at::Tensor best;
  for (const auto& [begin, end] : ranges) {
    const auto here = max_cosine(queries, normal_.slice(begin, end));
    best = best.defined() ? at::maximum(best, here) : here;
  }
  return best;
}

NearestNeighbors ReferenceBank::nearest_normal(const at::Tensor& queries,
                                               const Ranges& ranges) const {
  const ResidualMetric metric = head_->options().residual_metric;
  NearestNeighbors best;
  for (const auto& [begin, end] : ranges) {
    auto here = nearest_neighbors(queries, normal_.slice(begin, end), metric);
    here.index += begin;
    best = best.index.defined() ? merge(best, here, 0) : here;
  }
  return best;
}

at::Tensor ReferenceBank::mine(const Ranges& ranges) const {
  const auto nearest = nearest_normal(abnormal_.rows, ranges).index;
  DefectPatches patches;
  patches.features = abnormal_.rows.unsqueeze(0);
  patches.residuals = (abnormal_.rows - normal_.rows.index_select(0, nearest)).unsqueeze(0);
  patches.positions = abnormal_positions_;
  patches.mask = at::ones({1, abnormal_.size()}, abnormal_.rows.options().dtype(at::kBool));
  return head_->mine(patches);
}

std::vector<at::Tensor> ReferenceBank::score_against(const at::Tensor& features,
                                                     const std::vector<Method>& methods,
                                                     const Ranges& ranges) const {
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
    const auto found = nearest_normal(queries, ranges);
    normal = by_picture(found.max_cosine);
    QueryPatches query;
    query.features = features;
    query.residuals =
        (queries - normal_.rows.index_select(0, found.index)).reshape(features.sizes());
    query.normal_cosine = normal;
    query.grid = grid_;
    const bool all = ranges.size() == 1 && ranges[0].end - ranges[0].begin == normal_.size();
    const auto proxies = (all ? residual_proxies_ : mine(ranges)).expand({batch, -1, -1});
    learnt = mean_cosine(features, head_->learn(proxies, query));
  } else if (normal_used) {
    normal = by_picture(normal_cosine(queries, ranges));
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

at::Tensor ReferenceBank::score(const at::Tensor& features, Method method) const {
  return scores(features, {method}).front();
}

std::vector<at::Tensor> ReferenceBank::scores(const at::Tensor& features,
                                              const std::vector<Method>& methods) const {
  const c10::InferenceMode guard;
  for (const Method method : methods) check(method);
  return score_against(features, methods, {{0, normal_.size()}});
}

at::Tensor ReferenceBank::score_left_out(std::int64_t index, Method method) const {
  const c10::InferenceMode guard;
  check(method);
  if (index < 0 || index >= normal_count_) throw std::invalid_argument("no such normal reference");
  const std::int64_t begin = index * patches_, end = begin + patches_;
  const at::Tensor query = normal_.rows.slice(0, begin, end).unsqueeze(0);
  if (uses_normal(method) && normal_count_ < 2) {
    throw ConfigError("leaving a reference out needs at least two normal references");
  }
  Ranges others;
  if (begin > 0) others.push_back({0, begin});
  if (end < normal_.size()) others.push_back({end, normal_.size()});
  return score_against(query, {method}, others).front()[0];
}

double image_score(const at::Tensor& patch_scores) {
  return image_scores(patch_scores.to(at::kDouble).unsqueeze(0)).item<double>();
}

}  // namespace nagl
