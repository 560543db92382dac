#include "nagl/nn/image_score.h"

#include <algorithm>
#include <stdexcept>

namespace nagl {

at::Tensor mean_of_top(const at::Tensor& scores, std::int64_t count) {
  if (scores.dim() != 2 || scores.size(1) == 0) {
    throw std::invalid_argument("an image score needs at least one patch score");
  }
  return std::get<0>(scores.topk(std::min(count, scores.size(1)), 1)).mean(1);
}

at::Tensor image_scores(const at::Tensor& patch_scores, double top_share) {
  const auto count = static_cast<std::int64_t>(
      static_cast<double>(patch_scores.size(-1)) * top_share + 1e-9);  // 0.01 x 100 is 1
  return mean_of_top(patch_scores, std::max<std::int64_t>(1, count));
}

}  // namespace nagl
