#include "nagl/nn/anomaly_feature_learning.h"

namespace nagl {

AnomalyFeatureLearningImpl::AnomalyFeatureLearningImpl(std::int64_t width, std::int64_t heads) {
  cross_ = register_module("afl_ca", CrossAttention(width, heads));
  self_ = register_module("afl_sa", SelfAttention(width, heads));
}

at::Tensor AnomalyFeatureLearningImpl::forward(const at::Tensor& residual_proxies,
                                               const at::Tensor& features,
                                               const at::Tensor& residuals,
                                               const at::Tensor& positions) {
  return self_->forward(cross_->forward(residual_proxies, residuals + positions, features));
}

void AnomalyFeatureLearningImpl::initialize(at::Generator generator) {
  cross_->initialize(generator);
  self_->initialize(generator);
}

}  // namespace nagl
