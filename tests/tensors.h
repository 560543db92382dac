#pragma once

#include "nagl/core/torch.h"
#include "nagl/model/weights.h"
#include "support.h"

namespace nagl::testing {

inline double max_difference(const at::Tensor& a, const at::Tensor& b) {
  return (a.to(at::kDouble) - b.to(at::kDouble)).abs().max().item<double>();
}

inline double relative_difference(const at::Tensor& a, const at::Tensor& b) {
  const auto expected = b.to(at::kDouble);
  return ((a.to(at::kDouble) - expected).norm() / expected.norm()).item<double>();
}

/// Expects residuals to those of the reference, but for rows with two neighbours whose dot products
/// are equal within float32's rounding: there either is right.
/// @param rows, residuals, expected [N, C] float32
inline void expect_same_residuals(const at::Tensor& rows, const at::Tensor& residuals,
                                  const at::Tensor& expected) {
  const auto dots = [&](const at::Tensor& of) {
    const auto row = rows.to(at::kDouble);
    return (row * (row - of.to(at::kDouble))).sum(1);
  };
  const auto differs = (residuals - expected).abs().amax(1).gt(1e-4);
  const auto gap = (dots(residuals) - dots(expected)).abs() / dots(expected).abs();
  EXPECT_LT(gap.max().item<double>(), 1e-6);
  EXPECT_LE(differs.sum().item<std::int64_t>(), 2);
}

}  // namespace nagl::testing

/// Skips the test unless the backbone is the stand-in that the reference figures were made with.
#define NAGL_NEEDS_STAND_IN(weights)                                                               \
  const auto weights##_metadata = ::nagl::WeightsFile(weights).metadata();                         \
  const auto weights##_checksum = weights##_metadata.find("source_sha256");                        \
  if (weights##_checksum == weights##_metadata.end() ||                                            \
      weights##_checksum->second !=                                                                \
          "198644e37de36674974f453a9aebfc0120b168b9414cce18d4dceb576fbdf355") {                    \
    NAGL_MISSING("the reference figures are of another backbone than '" + weights.string() + "'"); \
  }                                                                                                \
  static_assert(true)
