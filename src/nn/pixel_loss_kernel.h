#pragma once

#include <cstdint>

namespace nagl {

/// Weight of what is present in the focal loss (Lin et al., 2017); what is absent has 1 - 0.25.
inline constexpr double kFocalAlpha = 0.25;
/// Added above and below in the Dice quotient, so that a picture without a defect has one.
inline constexpr double kDiceSmooth = 1;
/// Probabilities below this count as this in the paper's form, so that their logarithm is finite.
inline constexpr float kSmallestProbability = 1e-7F;

/// Sizes of a map and of the mask it is upsampled to.
struct PixelLossShape {
  std::int64_t rows = 0, columns = 0;  ///< of the map
  std::int64_t height = 0, width = 0;  ///< of the mask
};

/// Focal and Dice loss of one sample, and where to put their gradients with respect to the map.
struct PixelLossTerms {
  double focal = 0;
  double dice = 0;
  float* focal_gradient = nullptr;  ///< [rows, columns]
  float* dice_gradient = nullptr;   ///< [rows, columns]
};

/// docs/design.md, 3.9 in the published form; the gradient is that with respect to `abnormal`.
/// @param normal, abnormal [rows, columns] @param mask [height, width], 0 or 1
/// @throws std::invalid_argument of an empty shape or a null pointer
void published_pixel_loss(const PixelLossShape& shape, const float* normal, const float* abnormal,
                          const std::uint8_t* mask, PixelLossTerms& terms);

/// docs/design.md, 3.9 in the paper's form. @param fused [rows, columns]
/// @throws std::invalid_argument of an empty shape or a null pointer
void paper_pixel_loss(const PixelLossShape& shape, const float* fused, const std::uint8_t* mask,
                      PixelLossTerms& terms);

}  // namespace nagl
