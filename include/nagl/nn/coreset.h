#pragma once

#include <cstdint>

#include "nagl/core/torch.h"

namespace nagl {

/// Rows that were chosen, in the order of choice.
struct CoresetChoice {
  at::Tensor rows;  ///< [count] int64 on the CPU
  /// [count] float32 on the CPU: 1 - cosine of each with the one that was likest to it among those
  /// that were there when it was chosen; 2 of a first one.
  at::Tensor novelty;
};

/// Greedy k-centre choice (Gonzalez, 1985; as PatchCore uses it, Roth et al., CVPR 2022) by cosine:
/// again and again the row that is least like every row there is already. The choice goes on from
/// `present`, so that rows which come later are chosen as if all had come at once.
/// @param candidates [R, C] float32
/// @param present [P, C] float32, P >= 0: what is there before
/// @param count 1..R rows to choose
/// @return without `present` the first is the row least like the mean of all
/// @throws std::invalid_argument on another count
CoresetChoice choose_coreset(const at::Tensor& candidates, const at::Tensor& present,
                             std::int64_t count);

}  // namespace nagl
