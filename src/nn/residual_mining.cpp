#include "nagl/nn/residual_mining.h"

namespace nagl {

PackedTokens pack_masked(const at::Tensor& mask) {
  const std::int64_t most = mask.sum(1).max().item<std::int64_t>();
  // Stable, so that kept tokens stay in their order.
  const auto order = mask.to(at::kByte).argsort(/*stable=*/true, 1, /*descending=*/true);
  const auto index = order.slice(1, 0, most).contiguous();
  return {index, mask.gather(1, index)};
}

ResidualMiningImpl::ResidualMiningImpl(std::int64_t width, std::int64_t heads,
                                       std::int64_t proxies) {
  proxies_ = register_module("learnable_proxies", torch::nn::Embedding(proxies, width));
  cross_ = register_module("rm_ca", CrossAttention(width, heads));
  self_ = register_module("rm_sa", SelfAttention(width, heads));
}

at::Tensor ResidualMiningImpl::forward(const DefectPatches& patches) {
  const auto query = proxies_->weight.unsqueeze(0).expand({patches.features.size(0), -1, -1});
  const auto mask = attention_mask(patches.mask, patches.features.scalar_type());
  return self_->forward(
      cross_->forward(query, patches.features + patches.positions, patches.residuals, mask));
}

void ResidualMiningImpl::initialize(at::Generator generator) {
  const at::NoGradGuard no_grad;
  proxies_->weight.normal_(0, 1, generator);
  cross_->initialize(generator);
  self_->initialize(generator);
}

}  // namespace nagl
