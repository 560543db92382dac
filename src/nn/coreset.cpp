#include "nagl/nn/coreset.h"

#include <algorithm>
#include <stdexcept>

#include "nagl/nn/nearest_neighbor.h"

namespace nagl {

CoresetChoice choose_coreset(const at::Tensor& candidates, const at::Tensor& present,
                             std::int64_t count) {
  const std::int64_t rows = candidates.size(0);
  if (count < 1 || count > rows) throw std::invalid_argument("coreset: count is not in 1..R");
  const NeighborRows all(candidates);
  const at::Tensor unit = all.rows * all.inverse_norm.unsqueeze(1);
  // The largest cosine of each row with what is there already.
  at::Tensor nearest = present.size(0) > 0 ? max_cosine(candidates, NeighborRows(present))
                                           : at::mv(unit, unit.mean(0));
  nearest = nearest.to(at::kCPU, at::kFloat).contiguous().clone();
  const at::Tensor products = at::mm(unit, unit.t()).to(at::kCPU).contiguous();
  float* near = nearest.data_ptr<float>();
  constexpr float kTaken = 2;  // above any cosine

  CoresetChoice choice{at::empty({count}, at::kLong), at::empty({count}, at::kFloat)};
  auto* chosen = choice.rows.data_ptr<std::int64_t>();
  auto* novelty = choice.novelty.data_ptr<float>();
  for (std::int64_t i = 0; i < count; ++i) {
    const std::int64_t best = std::min_element(near, near + rows) - near;
    const float* cosines = products.data_ptr<float>() + best * rows;
    const bool first = i == 0 && present.size(0) == 0;  // the mean is no row of the bank
    chosen[i] = best;
    novelty[i] = first ? 2 : std::max(0.0F, 1 - near[best]);
    for (std::int64_t k = 0; k < rows; ++k) {
      if (near[k] != kTaken) near[k] = first ? cosines[k] : std::max(near[k], cosines[k]);
    }
    near[best] = kTaken;
  }
  return choice;
}

}  // namespace nagl
