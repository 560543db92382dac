#include "nagl/nn/nagl_head.h"

#include <ATen/CPUGeneratorImpl.h>
#include <fmt/format.h>

#include "nagl/core/error.h"
#include "nagl/nn/anomaly_feature_learning.h"
#include "nagl/nn/discriminant.h"
#include "nagl/nn/residual_mining.h"

namespace nagl {
namespace {

constexpr double kSmallestNorm = 1e-12;

}  // namespace

void NaglHeadOptions::check() const {
  if (width < 4 || width % 4 != 0) {
    throw ConfigError(fmt::format("head: width {} is not a positive multiple of 4", width));
  }
  if (heads < 1 || width % heads != 0) {
    throw ConfigError(fmt::format("head.heads {} does not divide the width {}", heads, width));
  }
  if (proxies < 1 || proxies > 4096) {
    throw ConfigError(fmt::format("head.proxies {} is not in 1..4096", proxies));
  }
}

NaglHeadImpl::NaglHeadImpl(const NaglHeadOptions& options) : options_(options) {
  options.check();
  mining_ = std::make_shared<ResidualMiningImpl>(options.width, options.heads, options.proxies);
  learning_ = std::make_shared<AnomalyFeatureLearningImpl>(options.width, options.heads);
  // Their parts are registered here, not they themselves: the published names have no level
  // between.
  for (const auto& child : mining_->named_children()) register_module(child.key(), child.value());
  for (const auto& child : learning_->named_children()) register_module(child.key(), child.value());
}

at::Tensor NaglHeadImpl::mine(const DefectPatches& references) {
  return mining_->forward(references);
}

at::Tensor NaglHeadImpl::learn(const at::Tensor& residual_proxies, const QueryPatches& queries) {
  return learning_->forward(residual_proxies, queries.features, queries.residuals,
                            queries.positions);
}

PatchScores NaglHeadImpl::forward(const DefectPatches& references, const QueryPatches& queries) {
  const auto proxies = learn(mine(references), queries);
  return fuse(queries.normal_cosine, mean_cosine(queries.features, proxies));
}

void NaglHeadImpl::initialize(std::uint64_t seed) {
  const auto generator = at::make_generator<at::CPUGeneratorImpl>(seed);
  mining_->initialize(generator);
  learning_->initialize(generator);
}

std::shared_ptr<torch::nn::Module> NaglHeadImpl::clone(
    const std::optional<at::Device>& device) const {
  const at::NoGradGuard no_grad;
  auto copy = std::make_shared<NaglHeadImpl>(options_);
  auto targets = copy->named_parameters();
  for (const auto& parameter : named_parameters()) {
    const at::Tensor& from = parameter.value();
    at::Tensor& target = targets[parameter.key()];
    target.set_data(from.detach().to(device.value_or(from.device()), from.scalar_type(),
                                     /*non_blocking=*/false, /*copy=*/true));
    target.set_requires_grad(from.requires_grad());
  }
  copy->train(is_training());
  return copy;
}

at::Tensor mean_cosine(const at::Tensor& features, const at::Tensor& proxies) {
  // The mean of cosines with M unit vectors is the dot product with their mean.
  const auto direction = unit_rows(proxies).mean(1).unsqueeze(2);  // [B, C, 1]
  const auto products = at::bmm(features, direction).squeeze(2);
  return (products / features.norm(2, -1).clamp_min(kSmallestNorm)).clamp(-1.0, 1.0);
}

PatchScores fuse(const at::Tensor& normal_cosine, const at::Tensor& abnormal_cosine) {
  PatchScores scores;
  scores.normal_similarity = (1 + normal_cosine) / 2;
  scores.abnormal_similarity = (1 + abnormal_cosine) / 2;
  scores.fused = (scores.abnormal_similarity + 1 - scores.normal_similarity) / 2;
  return scores;
}

}  // namespace nagl
