#include "nagl/nn/discriminant.h"

#include <algorithm>
#include <cmath>
#include <stdexcept>

namespace nagl {
namespace {

constexpr double kSmallestNorm = 1e-12;
/// Least variance added to each direction: identical patches have none of their own.
constexpr double kLeastRidge = 1e-9;

}  // namespace

at::Tensor unit_rows(const at::Tensor& rows) {
  return rows / rows.norm(2, -1, /*keepdim=*/true).clamp_min(kSmallestNorm);
}

FeatureMoments FeatureMoments::of(const at::Tensor& rows) {
  FeatureMoments moments;
  moments.count = rows.size(0);
  if (moments.count == 0) return moments;
  const at::Tensor values = rows.to(at::kDouble);
  moments.mean = values.mean(0);
  const at::Tensor centred = values - moments.mean;
  moments.scatter = at::mm(centred.t(), centred);
  return moments;
}

FeatureMoments FeatureMoments::with(const FeatureMoments& other) const {
  if (other.count == 0) return *this;
  if (count == 0) return other;
  const auto own = static_cast<double>(count), theirs = static_cast<double>(other.count);
  const double total = own + theirs;
  const at::Tensor apart = other.mean - mean;
  FeatureMoments both;
  both.count = count + other.count;
  both.mean = mean + apart * (theirs / total);
  both.scatter = scatter + other.scatter + at::outer(apart, apart) * (own * theirs / total);
  return both;
}

FeatureMoments FeatureMoments::as_kept() const {
  if (count == 0) return *this;
  return {count, mean.to(at::kFloat).to(at::kDouble), scatter.to(at::kFloat).to(at::kDouble)};
}

at::Tensor FeatureMoments::covariance() const { return scatter / static_cast<double>(count); }

at::Tensor LinearDiscriminant::project(const at::Tensor& units) const {
  return at::matmul(units, direction.to(units)) - offset;
}

LinearDiscriminant fisher_discriminant(const FeatureMoments& good, const at::Tensor& defects,
                                       double shrinkage) {
  if (good.count == 0 || defects.size(0) == 0) {
    throw std::invalid_argument("a discriminant needs patches of good parts and of defects");
  }
  // On the CPU: it is one small matrix, and a solver's handle takes a device a second and memory.
  const at::Tensor covariance = good.covariance().to(at::kCPU), mean = good.mean.to(at::kCPU);
  const std::int64_t width = covariance.size(0);
  const double variance = covariance.trace().item<double>() / static_cast<double>(width);
  at::Tensor regular = covariance.clone();
  regular.diagonal().add_(std::max(shrinkage * variance, kLeastRidge));
  const at::Tensor apart = defects.to(at::kDouble).mean(0).to(at::kCPU) - mean;
  const at::Tensor factor = at::linalg_cholesky(regular);
  at::Tensor direction = at::cholesky_solve(apart.unsqueeze(1), factor).squeeze(1);
  const double spread = direction.dot(at::mv(covariance, direction)).item<double>();
  // Defects that are like good patches on average, or patches without any spread, tell nothing.
  direction = spread > 0 ? direction / std::sqrt(spread) : at::zeros_like(apart);
  return {direction.to(good.mean.device()), mean.dot(direction).item<double>()};
}

at::Tensor clear_of(const at::Tensor& marked, PatchGrid grid) {
  const at::Tensor planes =
      marked.to(at::kFloat).reshape({marked.size(0), 1, grid.rows, grid.columns});
  constexpr std::int64_t kReach = 2 * kMaskMargin + 1;
  return at::max_pool2d(planes, {kReach, kReach}, {1, 1}, {kMaskMargin, kMaskMargin})
      .eq(0)
      .reshape(marked.sizes());
}

}  // namespace nagl
