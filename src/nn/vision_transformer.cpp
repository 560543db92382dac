#include "nagl/nn/vision_transformer.h"

#include <fmt/format.h>

#include <algorithm>
#include <numbers>
#include <stdexcept>

#include "attention_kernel.h"

namespace nagl {
namespace {

constexpr double kPositionOffset = 0.1;

torch::nn::LayerNorm layer_norm(const VisionTransformerOptions& options) {
  return torch::nn::LayerNorm(
      torch::nn::LayerNormOptions({options.width}).eps(options.layer_norm_eps()));
}

/// A layer of zeros: weights that are read from a file next need no random ones before, which would
/// take longer than reading them.
torch::nn::Linear linear(std::int64_t inputs, std::int64_t outputs) {
  torch::nn::Linear layer(1, 1);
  layer->options.in_features(inputs).out_features(outputs);
  layer->weight.set_data(at::zeros({outputs, inputs}));
  layer->bias.set_data(at::zeros({outputs}));
  return layer;
}

/// A module that only holds children, for names such as `attn.qkv`.
struct Group : torch::nn::Module {};

/// Pixels of a patch, with zeros up to what matrix units take at a time.
std::int64_t padded_pixels(const VisionTransformerOptions& options) {
  constexpr std::int64_t kAtATime = 8;
  const std::int64_t pixels = 3 * options.patch * options.patch;
  return (pixels + kAtATime - 1) / kAtATime * kAtATime;
}

/// Both layers of one input as one, whose outputs stand one behind the other.
torch::nn::Linear stacked(const torch::nn::Linear& first, const torch::nn::Linear& second) {
  torch::nn::Linear both(1, 1);
  both->options.in_features(first->options.in_features())
      .out_features(first->options.out_features() + second->options.out_features());
  both->weight.set_data(at::cat({first->weight, second->weight}));
  both->bias.set_data(at::cat({first->bias, second->bias}));
  return both;
}

void scale_output(torch::nn::Linear& linear, const at::Tensor& gamma) {
  linear->weight.mul_(gamma.unsqueeze(1));
  linear->bias.mul_(gamma);
}

}  // namespace

VisionTransformerBlockImpl::VisionTransformerBlockImpl(const VisionTransformerOptions& options)
    : heads_(options.heads()), eps_(options.layer_norm_eps()), gated_(options.gated) {
  const std::int64_t width = options.width;
  const auto group = [this](const char* name) {
    return register_module(name, std::make_shared<Group>());
  };
  norm1_ = register_module("norm1", layer_norm(options));
  const auto attention = group("attn");
  qkv_ = attention->register_module("qkv", linear(width, 3 * width));
  proj_ = attention->register_module("proj", linear(width, width));
  gamma1_ = group("ls1")->register_parameter("gamma", torch::ones({width}));
  norm2_ = register_module("norm2", layer_norm(options));
  const auto mlp = group("mlp");
  if (gated_) gate_ = mlp->register_module("w1", linear(width, options.hidden));
  fc1_ = mlp->register_module(gated_ ? "w2" : "fc1", linear(width, options.hidden));
  fc2_ = mlp->register_module(gated_ ? "w3" : "fc2", linear(options.hidden, width));
  gamma2_ = group("ls2")->register_parameter("gamma", torch::ones({width}));
}

at::Tensor VisionTransformerBlockImpl::attend(const at::Tensor& qkv,
                                              const at::Tensor& turns) const {
  const std::int64_t batch = qkv.size(0), count = qkv.size(1), width = qkv.size(2) / 3;
  const auto split = qkv.reshape({batch, count, 3, heads_, width / heads_});
  if (turns.defined()) {
    auto turned = split.slice(1, count - turns.size(1)).slice(2, 0, 2);
    const auto halves = turned.chunk(2, -1);
    turned.copy_(turned * turns[0] + at::cat({-halves[1], halves[0]}, -1) * turns[1]);
  }
  if (frozen_ && split.is_cpu()) {
    auto mixed = block_attention(split.contiguous());
    if (mixed.defined()) return mixed;
    mixed = block_attention(split.to(at::kFloat).contiguous());
    if (mixed.defined()) return mixed.to(qkv.scalar_type());
  }
  const auto by_head = split.permute({2, 0, 3, 1, 4});  // [3, B, heads, T, C / heads]
  return at::scaled_dot_product_attention(by_head[0], by_head[1], by_head[2])
      .transpose(1, 2)
      .reshape({batch, count, width});
}

at::Tensor VisionTransformerBlockImpl::forward(const at::Tensor& tokens, const at::Tensor& turns) {
  if (frozen_) return forward_frozen(tokens, turns);
  const auto attended = proj_->forward(attend(qkv_->forward(norm1_->forward(tokens)), turns));
  const auto middle = tokens + attended * gamma1_;
  const auto normalized = norm2_->forward(middle);
  const auto expanded = gated_ ? at::silu(gate_->forward(normalized)) * fc1_->forward(normalized)
                               : at::gelu(fc1_->forward(normalized));
  return middle + fc2_->forward(expanded) * gamma2_;
}

at::Tensor VisionTransformerBlockImpl::forward_frozen(const at::Tensor& tokens,
                                                      const at::Tensor& turns) const {
  const auto normalized = [&](const torch::nn::LayerNorm& norm, const at::Tensor& of) {
    return at::layer_norm(of, norm->options.normalized_shape(), norm->weight, norm->bias, eps_);
  };
  const auto mixed = attend(frozen_qkv_.forward(normalized(norm1_, tokens)), turns);
  const auto middle = frozen_proj_.forward_add(mixed, tokens);
  if (!gated_) {
    const auto expanded = frozen_fc1_.forward_gelu(normalized(norm2_, middle));
    return frozen_fc2_.forward_add(expanded, middle);
  }
  const auto both = frozen_fc1_.forward(normalized(norm2_, middle)).chunk(2, -1);
  return frozen_fc2_.forward_add(at::silu(both[0]) * both[1], middle);
}

void VisionTransformerBlockImpl::freeze(at::Device device, at::ScalarType precision) {
  const at::NoGradGuard no_grad;
  scale_output(proj_, gamma1_);
  scale_output(fc2_, gamma2_);
  to(device, precision);
  frozen_qkv_ = FrozenLinear(qkv_);
  frozen_proj_ = FrozenLinear(proj_);
  frozen_fc1_ = FrozenLinear(gated_ ? stacked(gate_, fc1_) : fc1_);
  frozen_fc2_ = FrozenLinear(fc2_);
  frozen_ = true;
}

VisionTransformerImpl::VisionTransformerImpl(const VisionTransformerOptions& options)
    : options_(options) {
  const std::int64_t width = options.width, patch = options.patch;
  cls_token_ = register_parameter("cls_token", torch::zeros({1, 1, width}));
  if (options.registers > 0) {
    register_tokens_ =
        register_parameter("register_tokens", torch::zeros({1, options.registers, width}));
  }
  if (options.rotary) {
    periods_ = register_module("rope_embed", std::make_shared<Group>())
                   ->register_parameter("periods", torch::ones({options.head_width / 4}));
  } else {
    pos_embed_ =
        register_parameter("pos_embed", torch::zeros({1, 1 + options.grid * options.grid, width}));
  }
  patch_embed_ =
      register_module("patch_embed", std::make_shared<Group>())
          ->register_module(
              "proj", torch::nn::Conv2d(torch::nn::Conv2dOptions(3, width, patch).stride(patch)));
  blocks_ = register_module("blocks", torch::nn::ModuleList());
  for (std::int64_t i = 0; i < options.depth; ++i) {
    blocks_->push_back(VisionTransformerBlock(options));
  }
  norm_ = register_module("norm", layer_norm(options));
}

template <typename Make>
at::Tensor VisionTransformerImpl::remembered(std::int64_t rows, std::int64_t columns,
                                             Make&& make) const {
  if (!frozen_) return make();
  const std::lock_guard lock(positions_mutex_);
  at::Tensor& known = positions_[{rows, columns}];
  if (!known.defined()) known = make();
  return known;
}

at::Tensor VisionTransformerImpl::position_embedding(std::int64_t rows,
                                                     std::int64_t columns) const {
  if (rows == options_.grid && columns == options_.grid) return pos_embed_;
  return remembered(rows, columns, [&] { return interpolated(rows, columns); });
}

at::Tensor VisionTransformerImpl::interpolated(std::int64_t rows, std::int64_t columns) const {
  const std::int64_t grid = options_.grid;
  const auto stored = pos_embed_.slice(1, 1)
                          .to(at::kFloat)
                          .reshape({1, grid, grid, options_.width})
                          .permute({0, 3, 1, 2});
  const auto scale = [grid](std::int64_t n) {
    return (static_cast<double>(n) + kPositionOffset) / static_cast<double>(grid);
  };
  const auto resized =
      options_.registers > 0
          ? at::_upsample_bicubic2d_aa(stored, {rows, columns}, false)
          : at::upsample_bicubic2d(stored, {rows, columns}, false, scale(rows), scale(columns));
  const auto patches = resized.permute({0, 2, 3, 1})
                           .reshape({1, rows * columns, options_.width})
                           .to(pos_embed_.scalar_type());
  return at::cat({pos_embed_.slice(1, 0, 1), patches}, 1);
}

at::Tensor VisionTransformerImpl::rotations(std::int64_t rows, std::int64_t columns) const {
  if (!options_.rotary) return {};
  return remembered(rows, columns, [&] { return computed_rotations(rows, columns); });
}

at::Tensor VisionTransformerImpl::computed_rotations(std::int64_t rows,
                                                     std::int64_t columns) const {
  const auto places = [&](std::int64_t count) {
    const auto centres = torch::arange(count, periods_.options()) + 0.5;
    return centres / static_cast<double>(count) * 2 - 1;
  };
  const auto axes = at::stack({places(rows).unsqueeze(1).expand({rows, columns}),
                               places(columns).unsqueeze(0).expand({rows, columns})},
                              2);  // [rows, columns, 2]
  const auto angles = (axes.reshape({rows * columns, 2, 1}) * (2 * std::numbers::pi) / periods_)
                          .flatten(1)
                          .repeat({1, 2});
  return at::stack({angles.cos(), angles.sin()})
      .reshape({2, rows * columns, 1, 1, options_.head_width});
}

at::Tensor VisionTransformerImpl::turns_of(const at::Tensor& images) const {
  return rotations(images.size(2) / options_.patch, images.size(3) / options_.patch);
}

/// Convolution with a stride of its own size is a product of patches, which is quicker as such.
at::Tensor VisionTransformerImpl::patches_of(const at::Tensor& images) const {
  const std::int64_t batch = images.size(0), patch = options_.patch, pixels = 3 * patch * patch;
  const std::int64_t rows = images.size(2) / patch, columns = images.size(3) / patch;
  at::Tensor patches =
      at::zeros({batch, rows * columns, padded_pixels(options_)}, images.options());
  patches.slice(2, 0, pixels)
      .view({batch, rows, columns, 3, patch, patch})
      .copy_(images.reshape({batch, 3, rows, patch, columns, patch}).permute({0, 2, 4, 1, 3, 5}));
  return patches;
}

void VisionTransformerImpl::freeze_patch_embed(at::Device device, at::ScalarType precision) {
  const at::NoGradGuard no_grad;
  const std::int64_t width = options_.width, padded = padded_pixels(options_);
  torch::nn::Linear product = linear(padded, width);
  product->weight.slice(1, 0, 3 * options_.patch * options_.patch)
      .copy_(patch_embed_->weight.reshape({width, -1}));
  product->bias.copy_(patch_embed_->bias);
  product->to(device, precision);
  frozen_patch_embed_ = FrozenLinear(product);
}

at::Tensor VisionTransformerImpl::embed(const at::Tensor& images) {
  const std::int64_t height = images.size(2), width = images.size(3), patch = options_.patch;
  if (height < patch || width < patch || height % patch != 0 || width % patch != 0) {
    throw std::invalid_argument(
        fmt::format("image size {}x{} is not a multiple of {}", height, width, patch));
  }
  const auto patches = frozen_ ? frozen_patch_embed_.forward(patches_of(images))
                               : patch_embed_->forward(images).flatten(2).transpose(1, 2);
  const std::int64_t batch = images.size(0);
  at::Tensor tokens = at::cat({cls_token_.expand({batch, 1, options_.width}), patches}, 1);
  if (!options_.rotary) tokens = tokens + position_embedding(height / patch, width / patch);
  if (options_.registers == 0) return tokens;
  const auto registers = register_tokens_.expand({batch, options_.registers, options_.width});
  return at::cat({tokens.slice(1, 0, 1), registers, tokens.slice(1, 1)}, 1);
}

void VisionTransformerImpl::check_layer(std::int64_t layer) const {
  if (layer < 0 || layer >= options_.depth) {
    throw std::invalid_argument(fmt::format("layer {} is not in 0..{}", layer, options_.depth - 1));
  }
}

at::Tensor VisionTransformerImpl::run_block(std::int64_t layer, const at::Tensor& tokens,
                                            const at::Tensor& turns) {
  return blocks_[static_cast<std::size_t>(layer)]->as<VisionTransformerBlock>()->forward(tokens,
                                                                                         turns);
}

at::Tensor VisionTransformerImpl::forward(const at::Tensor& images, std::int64_t layer) {
  check_layer(layer);
  auto tokens = embed(images);
  const auto turns = turns_of(images);
  for (std::int64_t i = 0; i <= layer; ++i) tokens = run_block(i, tokens, turns);
  return norm_->forward(tokens.slice(1, options_.prefix()).to(at::kFloat));
}

std::vector<LayerFeatures> VisionTransformerImpl::forward_layers(
    const at::Tensor& images, const std::vector<std::int64_t>& layers) {
  if (layers.empty()) return {};
  for (const auto layer : layers) check_layer(layer);
  std::vector<LayerFeatures> features(layers.size());
  const std::int64_t last = *std::max_element(layers.begin(), layers.end());
  auto tokens = embed(images);
  const auto turns = turns_of(images);
  for (std::int64_t i = 0; i <= last; ++i) {
    tokens = run_block(i, tokens, turns);
    for (std::size_t k = 0; k < layers.size(); ++k) {
      if (layers[k] != i) continue;
      features[k].patches = norm_->forward(tokens.slice(1, options_.prefix()).to(at::kFloat));
      features[k].class_token = norm_->forward(tokens.select(1, 0).to(at::kFloat));
    }
  }
  return features;
}

void VisionTransformerImpl::prepare_for_inference(at::Device device, at::ScalarType precision) {
  eval();
  for (auto& parameter : parameters()) parameter.set_requires_grad(false);
  for (const auto& block : *blocks_) {
    block->as<VisionTransformerBlock>()->freeze(device, precision);
  }
  freeze_patch_embed(device, precision);
  const at::Tensor weight = norm_->weight.clone(), bias = norm_->bias.clone();
  const at::Tensor periods = options_.rotary ? periods_.clone() : at::Tensor();
  to(device, precision);
  if (periods.defined()) periods_.set_data(periods.to(device));
  norm_->weight.set_data(weight.to(device));
  norm_->bias.set_data(bias.to(device));
  frozen_ = true;
}

}  // namespace nagl
