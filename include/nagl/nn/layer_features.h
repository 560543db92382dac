#pragma once

#include "nagl/core/torch.h"

namespace nagl {

/// What a Vision Transformer makes of a batch of pictures up to one of its blocks, after the final
/// LayerNorm.
struct LayerFeatures {
  at::Tensor patches;      ///< [B, H/patch * W/patch, C] float32
  at::Tensor class_token;  ///< [B, C] float32, which stands for the whole picture
};

}  // namespace nagl
