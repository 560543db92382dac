#pragma once

#include <cstdint>

#include "nagl/core/torch.h"
#include "nagl/nn/attention.h"

namespace nagl {

/// Anomaly Feature Learning (the paper's section 3.3; docs/design.md, 3.6): the residual proxies
/// attend to all patches of the query, key = residual + position, value = feature, and then to each
/// other. Parameter names: afl_ca.*, afl_sa.*.
class AnomalyFeatureLearningImpl : public torch::nn::Module {
 public:
  AnomalyFeatureLearningImpl(std::int64_t width, std::int64_t heads);

  /// @param residual_proxies [B, M, C] float32, from ResidualMining
  /// @param features [B, N, C], of the query
  /// @param residuals [B, N, C], of the query to its nearest normal patches
  /// @param positions [N, C] or [B, N, C], position encoding of the query's grid
  /// @return anomaly proxies [B, M, C]
  at::Tensor forward(const at::Tensor& residual_proxies, const at::Tensor& features,
                     const at::Tensor& residuals, const at::Tensor& positions);
  void initialize(at::Generator generator);

 private:
  CrossAttention cross_{nullptr};
  SelfAttention self_{nullptr};
};
TORCH_MODULE(AnomalyFeatureLearning);

}  // namespace nagl
