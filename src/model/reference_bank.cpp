#include "nagl/model/reference_bank.h"

#include <stdexcept>

#include "nagl/core/error.h"

namespace nagl {
namespace {

constexpr struct {
  Method method;
  const char* name;
  bool normal, abnormal;
} kMethods[] = {
    {Method::kNormalNn, "normal_nn", true, false},
    {Method::kAbnormalNn, "abnormal_nn", false, true},
    {Method::kBothNn, "both_nn", true, true},
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
  throw ConfigError("method '" + name + "' is not one of normal_nn, abnormal_nn, both_nn");
}

std::string to_string(Method method) { return row_of(method).name; }
bool uses_normal(Method method) { return row_of(method).normal; }
bool uses_abnormal(Method method) { return row_of(method).abnormal; }

ReferenceBank::ReferenceBank(const at::Tensor& normal, const at::Tensor& abnormal,
                             const at::Tensor& patch_mask) {
  const c10::InferenceMode guard;
  if (normal.dim() != 3) throw std::invalid_argument("ReferenceBank: normal must be [K1, N, C]");
  normal_count_ = normal.size(0);
  patches_ = normal.size(1);
  if (normal_count_ > 0) normal_ = NeighborRows(normal.flatten(0, 1).contiguous());
  if (!abnormal.defined()) return;
  const bool fits = abnormal.dim() == 3 && patch_mask.defined() && patch_mask.dim() == 2 &&
                    patch_mask.size(0) == abnormal.size(0) &&
                    patch_mask.size(1) == abnormal.size(1) && abnormal.size(2) == normal.size(2);
  if (!fits) {
    throw std::invalid_argument("ReferenceBank: abnormal must be [K2, N, C], patch_mask [K2, N]");
  }
  abnormal_count_ = abnormal.size(0);
  if (!patch_mask.any(1).all().item<bool>()) {
    throw std::invalid_argument("ReferenceBank: an abnormal reference has an empty patch mask");
  }
  abnormal_ = NeighborRows(
      abnormal.flatten(0, 1).index({patch_mask.to(abnormal.device(), at::kBool).flatten()}));
}

void ReferenceBank::check(Method method) const {
  if (uses_normal(method) && normal_count_ == 0) {
    throw ConfigError("method " + to_string(method) + " needs normal references");
  }
  if (uses_abnormal(method) && abnormal_count_ == 0) {
    throw ConfigError("method " + to_string(method) +
                      " needs abnormal references and their masks; give --abnormal and --masks, or "
                      "use --method normal_nn");
  }
}

at::Tensor ReferenceBank::score(const at::Tensor& features, Method method) const {
  const c10::InferenceMode guard;
  check(method);
  const at::Tensor queries = features.flatten(0, 1);
  at::Tensor normal, abnormal;
  if (uses_normal(method)) normal = max_cosine(queries, normal_);
  if (uses_abnormal(method)) abnormal = max_cosine(queries, abnormal_);
  return combine(normal, abnormal).reshape({features.size(0), features.size(1)});
}

at::Tensor ReferenceBank::score_left_out(std::int64_t index, Method method) const {
  const c10::InferenceMode guard;
  check(method);
  if (index < 0 || index >= normal_count_) throw std::invalid_argument("no such normal reference");
  const std::int64_t begin = index * patches_, end = begin + patches_;
  const at::Tensor queries = normal_.rows.slice(0, begin, end);
  at::Tensor normal, abnormal;
  if (uses_normal(method)) {
    if (normal_count_ < 2) {
      throw ConfigError("leaving a reference out needs at least two normal references");
    }
    if (begin > 0) normal = max_cosine(queries, normal_.slice(0, begin));
    if (end < normal_.size()) {
      const auto rest = max_cosine(queries, normal_.slice(end, normal_.size()));
      normal = normal.defined() ? at::maximum(normal, rest) : rest;
    }
  }
  if (uses_abnormal(method)) abnormal = max_cosine(queries, abnormal_);
  return combine(normal, abnormal);
}

double image_score(const at::Tensor& patch_scores) {
  if (patch_scores.dim() != 1 || patch_scores.numel() == 0) {
    throw std::invalid_argument("image_score needs at least one patch score");
  }
  const std::int64_t count = std::max<std::int64_t>(1, patch_scores.numel() / 100);
  return std::get<0>(patch_scores.topk(count)).to(at::kDouble).mean().item<double>();
}

}  // namespace nagl
