#pragma once

#include "nagl/core/torch.h"

namespace nagl {

/// Patches of abnormal references as RM takes them. P is all K2 * N patches, or fewer: patches that
/// are not masked in have no weight in the attention, so leaving them out changes no number.
struct DefectPatches {
  at::Tensor features;   ///< [B, P, C] float32
  at::Tensor residuals;  ///< [B, P, C] float32, to the nearest normal patch
  at::Tensor positions;  ///< [B, P, C] float32, position encoding
  at::Tensor mask;       ///< [B, P] bool, masked-in patches; each row has one
};

}  // namespace nagl
