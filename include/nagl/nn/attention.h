#pragma once

#include <torch/nn/modules/linear.h>
#include <torch/nn/modules/normalization.h>

#include <cstdint>
#include <optional>

#include "nagl/core/torch.h"

namespace nagl {

/// Multi-head attention of a few queries over many keys, with the parameters and names of
/// PyTorch's `nn.MultiheadAttention` (Vaswani et al., 2017): in_proj_weight, in_proj_bias,
/// out_proj.weight, out_proj.bias.
///
/// The projections of keys and values are folded onto the queries' side: with head h,
/// `q_h (k W_k^T + b_k)^T = (q_h W_k) k^T + const` and `a_h (v W_v^T + b_v) = (a_h v) W_v^T + b_v`,
/// since softmax ignores the constant and the attention weights sum to 1. The numbers are those of
/// the plain form; for 25 queries, 4 heads and 1024 keys it is a quarter of the work.
class MultiheadAttentionImpl : public torch::nn::Module {
 public:
  /// @throws std::invalid_argument unless `heads` divides `width`
  MultiheadAttentionImpl(std::int64_t width, std::int64_t heads);

  /// @param query [B, M, C] float32
  /// @param key [B, R, C]
  /// @param value [B, R, C]
  /// @param additive_mask [B, R], added to the logits of every query and head; undefined: none
  /// @return [B, M, C]
  at::Tensor forward(const at::Tensor& query, const at::Tensor& key, const at::Tensor& value,
                     const at::Tensor& additive_mask = {});

  /// Xavier uniform on the [3C, C] input projection and on the output projection, zero biases.
  void initialize(at::Generator generator);

 private:
  std::int64_t width_, heads_;
  at::Tensor in_proj_weight_, in_proj_bias_;
  torch::nn::Linear out_proj_{nullptr};
};
TORCH_MODULE(MultiheadAttention);

/// Attention of queries over other tokens, added to them, then LayerNorm.
/// Parameter names: multihead_attn.*, norm.*.
class CrossAttentionImpl : public torch::nn::Module {
 public:
  CrossAttentionImpl(std::int64_t width, std::int64_t heads);

  /// Shapes as MultiheadAttention.
  at::Tensor forward(const at::Tensor& query, const at::Tensor& key, const at::Tensor& value,
                     const at::Tensor& additive_mask = {});
  void initialize(at::Generator generator) { attention_->initialize(std::move(generator)); }

 private:
  MultiheadAttention attention_{nullptr};
  torch::nn::LayerNorm norm_{nullptr};
};
TORCH_MODULE(CrossAttention);

/// Attention of tokens over themselves, added to them, then LayerNorm.
/// Parameter names: self_attn.*, norm.*.
class SelfAttentionImpl : public torch::nn::Module {
 public:
  SelfAttentionImpl(std::int64_t width, std::int64_t heads);

  /// @param tokens [B, M, C]
  /// @return [B, M, C]
  at::Tensor forward(const at::Tensor& tokens);
  void initialize(at::Generator generator) { attention_->initialize(std::move(generator)); }

 private:
  MultiheadAttention attention_{nullptr};
  torch::nn::LayerNorm norm_{nullptr};
};
TORCH_MODULE(SelfAttention);

/// What is added to attention logits (docs/design.md, 3.4): 0 where `allowed` is set, -1e9
/// elsewhere.
/// @param allowed [B, R] bool
/// @return [B, R] of type `type`
at::Tensor attention_mask(const at::Tensor& allowed, at::ScalarType type);

}  // namespace nagl
