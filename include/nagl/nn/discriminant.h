#pragma once

#include <cstdint>

#include "nagl/core/torch.h"
#include "nagl/nn/position_encoding.h"

namespace nagl {

/// Feature rows at unit length. @param rows [..., C] @return the same shape and type
at::Tensor unit_rows(const at::Tensor& rows);

/// Number, mean and scatter of rows of features, in float64. Sets of rows are put together without
/// looking at them again (Chan, Golub and LeVeque, 1979).
struct FeatureMoments {
  std::int64_t count = 0;
  at::Tensor mean;     ///< [C] float64; undefined for no rows
  at::Tensor scatter;  ///< [C, C] float64, the sum of (f - mean)(f - mean)'

  /// @param rows [R, C], R >= 0
  static FeatureMoments of(const at::Tensor& rows);
  /// Of the rows of both.
  FeatureMoments with(const FeatureMoments& other) const;
  /// Rounded to float32, as files keep them.
  FeatureMoments as_kept() const;
  /// [C, C] float64, divided by the number of rows; needs one.
  at::Tensor covariance() const;
};

/// Fisher's linear discriminant of defect against good (Fisher, 1936), whitened by how good patches
/// vary: `w = (C + lambda I)^-1 (mean of defects - mu)`, scaled so that `w' C w = 1`, with mu and C
/// the mean and covariance of good patches and `lambda = shrinkage tr(C) / width`.
struct LinearDiscriminant {
  at::Tensor direction;  ///< w, [C] float64
  double offset = 0;     ///< mu . w

  /// (f - mu) . w: how many deviations of good patches a patch lies towards the defects.
  /// @param units [..., C] float32 at unit length @return [...] float32
  at::Tensor project(const at::Tensor& units) const;
};

/// Share of the mean variance that is added to each, where few patches say little of some.
inline constexpr double kShrinkage = 0.1;

/// @param good of patches at unit length
/// @param defects [P, C] at unit length, P >= 1
/// @throws std::invalid_argument without rows of either
LinearDiscriminant fisher_discriminant(const FeatureMoments& good, const at::Tensor& defects,
                                       double shrinkage = kShrinkage);

/// Patches that a mask surely leaves alone: those outside it once it was dilated twice by 3 x 3.
/// @param marked [V, N] bool, row by row of the grid @param grid of N patches
/// @return [V, N] bool
at::Tensor clear_of(const at::Tensor& marked, PatchGrid grid);

/// How far a patch may be from a mark and not be clear of it.
inline constexpr std::int64_t kMaskMargin = 2;

}  // namespace nagl
