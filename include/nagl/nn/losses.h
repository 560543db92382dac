#pragma once

#include <cstdint>
#include <string>

#include "nagl/core/enum_names.h"
#include "nagl/core/torch.h"
#include "nagl/nn/nagl_head.h"

namespace nagl {

/// The two readings of the training loss (docs/design.md, 3.9).
enum class LossForm {
  /// As the published code has it: the pair [1 - s, s] and the similarities are taken as logits.
  kPublished,
  /// As the paper writes it: s and the fused map are probabilities.
  kPaper,
};
constexpr auto names_of(LossForm) {
  return EnumNames<LossForm, 2>{
      "loss form", {{{LossForm::kPublished, "published"}, {LossForm::kPaper, "paper"}}}};
}

/// The terms of docs/design.md, 3.9, each [B] float: one value an episode. A batch's loss is their
/// mean.
struct EpisodeLosses {
  at::Tensor classification;  ///< cross-entropy of the image score
  at::Tensor focal;
  at::Tensor dice;

  at::Tensor total(double pixel_weight) const {
    return classification + pixel_weight * (focal + dice);
  }
};

/// @param scores of B queries with patches in `grid`
/// @param labels [B] float32, 1 for an anomalous query
/// @param masks [B, H, W] uint8, 0 or 1, at the network's size
EpisodeLosses episode_losses(const PatchScores& scores, PatchGrid grid, const at::Tensor& labels,
                             const at::Tensor& masks, LossForm form);

/// Focal and Dice loss of maps upsampled to their masks (bilinear, half-pixel centres).
struct PixelLosses {
  at::Tensor focal;  ///< [B]
  at::Tensor dice;   ///< [B]
};

/// One fused pass over the pixels on the CPU in float32, which also yields the analytic gradient;
/// elsewhere `pixel_losses_by_operators`. The gradient flows into the last channel alone: the
/// normal similarity comes from frozen features.
///
/// @param maps `published`: [B, 2, rows, columns], normal and abnormal similarity; `paper`:
///        [B, 1, rows, columns], the fused score
/// @param masks [B, H, W] uint8, 0 or 1
PixelLosses pixel_losses(const at::Tensor& maps, const at::Tensor& masks, LossForm form);

/// The same with ordinary operators, on any device and in any floating type, with gradients for all
/// channels.
PixelLosses pixel_losses_by_operators(const at::Tensor& maps, const at::Tensor& masks,
                                      LossForm form);

}  // namespace nagl
