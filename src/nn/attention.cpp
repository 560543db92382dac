#include "nagl/nn/attention.h"

#include <cmath>
#include <stdexcept>

namespace nagl {
namespace {

constexpr double kMasked = -1e9;

void xavier_uniform(at::Tensor& weight, const at::Generator& generator) {
  const double bound = std::sqrt(6.0 / static_cast<double>(weight.size(0) + weight.size(1)));
  weight.uniform_(-bound, bound, generator);
}

}  // namespace

MultiheadAttentionImpl::MultiheadAttentionImpl(std::int64_t width, std::int64_t heads)
    : width_(width), heads_(heads) {
  if (heads < 1 || width < 1 || width % heads != 0) {
    throw std::invalid_argument("attention: the number of heads must divide the width");
  }
  in_proj_weight_ = register_parameter("in_proj_weight", torch::zeros({3 * width, width}));
  in_proj_bias_ = register_parameter("in_proj_bias", torch::zeros({3 * width}));
  out_proj_ = register_module("out_proj", torch::nn::Linear(width, width));
}

void MultiheadAttentionImpl::initialize(at::Generator generator) {
  const at::NoGradGuard no_grad;
  xavier_uniform(in_proj_weight_, generator);
  in_proj_bias_.zero_();
  xavier_uniform(out_proj_->weight, generator);
  out_proj_->bias.zero_();
}

at::Tensor MultiheadAttentionImpl::forward(const at::Tensor& query, const at::Tensor& key,
                                           const at::Tensor& value,
                                           const at::Tensor& additive_mask) {
  const std::int64_t batch = query.size(0), queries = query.size(1), depth = width_ / heads_;
  const auto weights = in_proj_weight_.split(width_);  // of queries, keys, values: [C, C] each
  const auto by_head = [&](const at::Tensor& weight) {
    return weight.reshape({heads_, depth, width_});
  };

  const auto projected = at::linear(query, weights[0], in_proj_bias_.slice(0, 0, width_))
                             .reshape({batch * queries, heads_, depth})
                             .transpose(0, 1);  // [H, B M, d]
  const auto folded =
      at::bmm(projected * (1 / std::sqrt(static_cast<double>(depth))), by_head(weights[1]))
          .reshape({heads_, batch, queries, width_})
          .transpose(0, 1)
          .reshape({batch, heads_ * queries, width_});
  auto logits = at::bmm(folded, key.transpose(1, 2));  // [B, H M, R]
  if (additive_mask.defined()) logits = logits + additive_mask.unsqueeze(1);

  const auto mixed = at::bmm(logits.softmax(-1), value)  // [B, H M, C]
                         .reshape({batch, heads_, queries, width_})
                         .transpose(0, 1)
                         .reshape({heads_, batch * queries, width_});
  const auto values = at::bmm(mixed, by_head(weights[2]).transpose(1, 2))  // [H, B M, d]
                          .transpose(0, 1)
                          .reshape({batch, queries, width_});
  return out_proj_->forward(values + in_proj_bias_.slice(0, 2 * width_));
}

CrossAttentionImpl::CrossAttentionImpl(std::int64_t width, std::int64_t heads) {
  attention_ = register_module("multihead_attn", MultiheadAttention(width, heads));
  norm_ = register_module("norm", torch::nn::LayerNorm(torch::nn::LayerNormOptions({width})));
}

at::Tensor CrossAttentionImpl::forward(const at::Tensor& query, const at::Tensor& key,
                                       const at::Tensor& value, const at::Tensor& additive_mask) {
  return norm_->forward(query + attention_->forward(query, key, value, additive_mask));
}

SelfAttentionImpl::SelfAttentionImpl(std::int64_t width, std::int64_t heads) {
  attention_ = register_module("self_attn", MultiheadAttention(width, heads));
  norm_ = register_module("norm", torch::nn::LayerNorm(torch::nn::LayerNormOptions({width})));
}

at::Tensor SelfAttentionImpl::forward(const at::Tensor& tokens) {
  return norm_->forward(tokens + attention_->forward(tokens, tokens, tokens));
}

at::Tensor attention_mask(const at::Tensor& allowed, at::ScalarType type) {
  return (1 - allowed.to(type)) * kMasked;
}

}  // namespace nagl
