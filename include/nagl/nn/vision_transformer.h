#pragma once

#include <torch/nn/modules/container/modulelist.h>
#include <torch/nn/modules/conv.h>
#include <torch/nn/modules/linear.h>
#include <torch/nn/modules/normalization.h>

#include <cstdint>
#include <map>
#include <mutex>
#include <utility>
#include <vector>

#include "nagl/core/torch.h"
#include "nagl/nn/frozen_linear.h"
#include "nagl/nn/layer_features.h"

namespace nagl {

/// Shape of a Vision Transformer, and what its kind does with positions.
struct VisionTransformerOptions {
  std::int64_t width = 384;      ///< channels C of a token
  std::int64_t depth = 12;       ///< number of blocks
  std::int64_t hidden = 1536;    ///< channels inside the MLP
  std::int64_t patch = 14;       ///< height and width of a patch in pixels
  std::int64_t grid = 37;        ///< the stored position embedding covers grid x grid patches
  std::int64_t head_width = 64;  ///< channels of one attention head
  std::int64_t registers = 0;    ///< register tokens, between the class token and the patches
  bool rotary = false;           ///< positions turn queries and keys, none are stored (DINOv3)
  bool gated = false;            ///< the MLP is SwiGLU, `w3(silu(w1 x) * w2 x)`

  /// Tokens before those of the patches.
  std::int64_t prefix() const { return 1 + registers; }
  double layer_norm_eps() const { return rotary ? 1e-5 : 1e-6; }
  std::int64_t heads() const { return width / head_width; }
};

/// One pre-norm block: x + ls1(attn(norm1(x))), then x + ls2(mlp(norm2(x))).
/// Parameter names are torch.hub's: norm1, attn.qkv, attn.proj, ls1.gamma, norm2, mlp.fc1 and
/// mlp.fc2 or, gated, mlp.w1, mlp.w2 and mlp.w3, ls2.gamma.
class VisionTransformerBlockImpl : public torch::nn::Module {
 public:
  explicit VisionTransformerBlockImpl(const VisionTransformerOptions& options);

  /// @param tokens [B, T, C]
  /// @param turns [2, N, 1, 1, head width] float32, cosine and sine, which turn queries and keys of
  ///        the last N tokens; undefined: none
  /// @return [B, T, C]
  at::Tensor forward(const at::Tensor& tokens, const at::Tensor& turns = {});

  /// For inference: multiplies both LayerScales into the projections before them, and gives the
  /// weights of all four to a FrozenLinear. Call once; then only `forward` is of use.
  void freeze(at::Device device, at::ScalarType precision);

 private:
  at::Tensor forward_frozen(const at::Tensor& tokens, const at::Tensor& turns) const;
  /// @param qkv [B, T, 3 C], which it may change @return [B, T, C]
  at::Tensor attend(const at::Tensor& qkv, const at::Tensor& turns) const;

  std::int64_t heads_;
  double eps_;
  bool gated_;
  bool frozen_ = false;
  torch::nn::LayerNorm norm1_{nullptr}, norm2_{nullptr};
  torch::nn::Linear qkv_{nullptr}, proj_{nullptr}, fc1_{nullptr}, fc2_{nullptr};
  torch::nn::Linear gate_{nullptr};  ///< w1, where fc1_ and fc2_ are w2 and w3
  at::Tensor gamma1_, gamma2_;
  FrozenLinear frozen_qkv_, frozen_proj_, frozen_fc1_, frozen_fc2_;
};
TORCH_MODULE(VisionTransformerBlock);

/// The backbones of DINOv2 (Oquab et al., 2023, arXiv 2304.07193), with register tokens (Darcet et
/// al., 2023, arXiv 2309.16588) or without, and DINOv3 (Simeoni et al., 2025, arXiv 2508.10104):
/// exact GELU or SwiGLU, LayerScale. Parameter names are torch.hub's; DINOv3's `storage_tokens` are
/// called `register_tokens`.
class VisionTransformerImpl : public torch::nn::Module {
 public:
  explicit VisionTransformerImpl(const VisionTransformerOptions& options);

  /// Patch features of one block, after the final LayerNorm. Later blocks are not computed. The
  /// final LayerNorm runs in float32 whatever the precision of the blocks.
  ///
  /// @param images [B, 3, H, W] in the precision of the weights, normalised; H and W are multiples
  ///        of the patch size
  /// @param layer block index, 0 .. depth - 1
  /// @return [B, H/patch * W/patch, C] float32
  /// @throws std::invalid_argument on a layer or an image size out of range
  at::Tensor forward(const at::Tensor& images, std::int64_t layer);

  /// The features of several blocks from one pass, which ends with the last of them. `patches` are
  /// what `forward` gives for that layer, bit for bit.
  /// @param layers block indices in any order; none: no pass
  /// @return one a layer, in the order of `layers`
  /// @throws std::invalid_argument as `forward`
  std::vector<LayerFeatures> forward_layers(const at::Tensor& images,
                                            const std::vector<std::int64_t>& layers);

  /// Class token, register tokens and patch tokens, with the positions that are added:
  /// [B, prefix + N, C].
  at::Tensor embed(const at::Tensor& images);

  /// The position embedding for a grid of `rows` x `columns` patches, interpolated as DINOv2 does:
  /// bicubic, no antialiasing, with the scale factor (n + 0.1) / grid handed to the kernel; with
  /// register tokens antialiased, and to the size itself; as stored where the grid is the stored
  /// one. [1, 1 + rows * columns, C], class first.
  at::Tensor position_embedding(std::int64_t rows, std::int64_t columns) const;

  /// What turns queries and keys of a grid of patches (DINOv3, section 3.2): the places of their
  /// centres along each axis, from -1 to 1, times 2 pi over the stored periods; channel i goes with
  /// channel i + head width / 2. As VisionTransformerBlock takes them; undefined for other kinds.
  at::Tensor rotations(std::int64_t rows, std::int64_t columns) const;

  /// Moves and converts all but the final LayerNorm and the periods of positions, which stay in
  /// float32, and freezes the blocks. Call once, after the weights are loaded.
  void prepare_for_inference(at::Device device, at::ScalarType precision);

  const VisionTransformerOptions& options() const { return options_; }

 private:
  at::Tensor interpolated(std::int64_t rows, std::int64_t columns) const;
  void check_layer(std::int64_t layer) const;
  /// @param images [B, 3, H, W] @return [B, N, pixels of a patch, zeros after them]
  at::Tensor patches_of(const at::Tensor& images) const;
  void freeze_patch_embed(at::Device device, at::ScalarType precision);
  at::Tensor run_block(std::int64_t layer, const at::Tensor& tokens, const at::Tensor& turns);
  /// `rotations` of pictures.
  at::Tensor turns_of(const at::Tensor& images) const;
  at::Tensor computed_rotations(std::int64_t rows, std::int64_t columns) const;
  /// What `make` gives, once frozen remembered by rows and columns.
  template <typename Make>
  at::Tensor remembered(std::int64_t rows, std::int64_t columns, Make&& make) const;

  VisionTransformerOptions options_;
  at::Tensor cls_token_, register_tokens_, pos_embed_, periods_;
  /// Once frozen: what was made, by rows and columns. It stays, since recorded passes refer to it.
  mutable std::map<std::pair<std::int64_t, std::int64_t>, at::Tensor> positions_;
  mutable std::mutex positions_mutex_;
  bool frozen_ = false;
  torch::nn::Conv2d patch_embed_{nullptr};
  FrozenLinear frozen_patch_embed_;  ///< the same weights, once frozen
  torch::nn::ModuleList blocks_{nullptr};
  torch::nn::LayerNorm norm_{nullptr};
};
TORCH_MODULE(VisionTransformer);

}  // namespace nagl
