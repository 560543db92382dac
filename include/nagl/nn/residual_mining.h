#pragma once

#include <torch/nn/modules/embedding.h>

#include <cstdint>

#include "nagl/core/torch.h"
#include "nagl/nn/attention.h"
#include "nagl/nn/defect_patches.h"

namespace nagl {

/// Which tokens of each row to keep so that every masked-in one is kept, and no more than the
/// fullest row needs.
struct PackedTokens {
  at::Tensor index;  ///< [B, P] int64
  at::Tensor mask;   ///< [B, P] bool; false where a row has fewer masked-in tokens than P
};

/// @param mask [B, R] bool; P is the largest number of marks in a row
PackedTokens pack_masked(const at::Tensor& mask);

/// Residual Mining (the paper's section 3.2; docs/design.md, 3.5): learnable proxies attend to the
/// masked-in patches of the abnormal references, key = feature + position, value = residual, and
/// then to each other. Parameter names: learnable_proxies.weight, rm_ca.*, rm_sa.*.
class ResidualMiningImpl : public torch::nn::Module {
 public:
  ResidualMiningImpl(std::int64_t width, std::int64_t heads, std::int64_t proxies);

  /// @return residual proxies [B, M, C]
  at::Tensor forward(const DefectPatches& patches);
  void initialize(at::Generator generator);

 private:
  torch::nn::Embedding proxies_{nullptr};
  CrossAttention cross_{nullptr};
  SelfAttention self_{nullptr};
};
TORCH_MODULE(ResidualMining);

}  // namespace nagl
