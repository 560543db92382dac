#pragma once

#include <cstdint>

#include "nagl/core/torch.h"

namespace nagl {

/// The mean of the `count` largest scores of each row, or of all if there are fewer.
/// @param scores [B, N] @return [B]
at::Tensor mean_of_top(const at::Tensor& scores, std::int64_t count);

/// Share of the patches whose mean is the image score, as published.
inline constexpr double kPublishedTopShare = 0.01;

/// The image scores of docs/design.md, 3.8: the mean of the top share of patch scores (floor, at
/// least one).
/// @param patch_scores [B, N] @return [B]
at::Tensor image_scores(const at::Tensor& patch_scores, double top_share = kPublishedTopShare);

}  // namespace nagl
