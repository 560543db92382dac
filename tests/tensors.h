#pragma once

#include <torch/torch.h>

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

}  // namespace nagl::testing

/// Skips the test unless the backbone is the stand-in that the reference figures were made with.
#define NAGL_NEEDS_STAND_IN(weights)                                                           \
  const auto weights##_metadata = ::nagl::WeightsFile(weights).metadata();                     \
  const auto weights##_checksum = weights##_metadata.find("source_sha256");                    \
  if (weights##_checksum == weights##_metadata.end() ||                                        \
      weights##_checksum->second !=                                                            \
          "198644e37de36674974f453a9aebfc0120b168b9414cce18d4dceb576fbdf355") {                \
    GTEST_SKIP() << "the reference figures are of another backbone than '" << weights.string() \
                 << "'";                                                                       \
  }                                                                                            \
  static_assert(true)
