#pragma once

#include <cstdint>

#include "nagl/core/torch.h"

namespace nagl {

/// The mean of the `count` largest scores of each row, or of all if there are fewer.
/// @param scores [B, N] @return [B]
at::Tensor mean_of_top(const at::Tensor& scores, std::int64_t count);

/// The image scores of docs/design.md, 3.8: the mean of the top 1 % of patch scores (floor, at
/// least one).
/// @param patch_scores [B, N] @return [B]
at::Tensor image_scores(const at::Tensor& patch_scores);

}  // namespace nagl
