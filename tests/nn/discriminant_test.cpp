#include "nagl/nn/discriminant.h"

#include <ATen/CPUGeneratorImpl.h>
#include <gtest/gtest.h>

#include <cmath>
#include <stdexcept>

#include "tensors.h"

namespace nagl {
namespace {

using testing::max_difference;

at::Tensor random_rows(std::int64_t count, std::int64_t width, std::uint64_t seed) {
  return at::randn({count, width}, at::make_generator<at::CPUGeneratorImpl>(seed));
}

at::Tensor rows(std::initializer_list<double> values) {
  return torch::tensor(std::vector<double>(values), at::kFloat).reshape({-1, 2});
}

TEST(FeatureMoments, AreMeanAndCovariance) {
  const auto moments = FeatureMoments::of(rows({0, 0, 2, 0, 1, 3}));
  EXPECT_EQ(moments.count, 3);
  EXPECT_TRUE(moments.mean.equal(torch::tensor({1.0, 1.0}, at::kDouble)));
  // Deviations (-1, -1), (1, -1), (0, 2).
  EXPECT_LT(max_difference(moments.covariance(),
                           torch::tensor({2.0 / 3, 0.0, 0.0, 2.0}, at::kDouble).reshape({2, 2})),
            1e-12);
}

TEST(FeatureMoments, PartsGiveWhatTheWholeGives) {
  const at::Tensor all = random_rows(50, 6, 3) + 5;
  const auto whole = FeatureMoments::of(all);
  const auto parts = FeatureMoments()
                         .with(FeatureMoments::of(all.slice(0, 0, 1)))
                         .with(FeatureMoments::of(all.slice(0, 1, 30)))
                         .with(FeatureMoments())
                         .with(FeatureMoments::of(all.slice(0, 30)));
  EXPECT_EQ(parts.count, 50);
  EXPECT_LT(max_difference(parts.mean, whole.mean), 1e-12);
  EXPECT_LT(max_difference(parts.scatter, whole.scatter), 1e-10);
}

TEST(FisherDiscriminant, ByHand) {
  // Good patches vary by 2 along x and by 0.5 along y; defects lie at (1, 1) on average.
  const auto good = FeatureMoments::of(rows({2, 0, -2, 0, 0, 1, 0, -1}));
  const at::Tensor defects = rows({1, 0, 1, 2});
  const auto plain = fisher_discriminant(good, defects, 0);
  // C^-1 (1, 1) = (0.5, 2), of which w' C w is 2 x 0.25 + 0.5 x 4 = 2.5.
  EXPECT_NEAR(plain.direction[0].item<double>(), 0.5 / std::sqrt(2.5), 1e-6);
  EXPECT_NEAR(plain.direction[1].item<double>(), 2 / std::sqrt(2.5), 1e-6);
  EXPECT_NEAR(plain.offset, 0, 1e-12);
  // With a tenth of the mean variance 1.25 added to both: (1 / 2.125, 1 / 0.625) = (0.4706, 1.6).
  const auto shrunk = fisher_discriminant(good, defects, 0.1);
  const double x = 1 / 2.125, y = 1.6, scale = std::sqrt(2 * x * x + 0.5 * y * y);
  EXPECT_NEAR(shrunk.direction[0].item<double>(), x / scale, 1e-9);
  EXPECT_NEAR(shrunk.direction[1].item<double>(), y / scale, 1e-9);
}

TEST(FisherDiscriminant, GoodPatchesLieAtZeroWithDeviationOne) {
  const at::Tensor good = random_rows(200, 6, 1) + 2;
  const auto w = fisher_discriminant(FeatureMoments::of(good), random_rows(9, 6, 2) + 3);
  const at::Tensor seen = w.project(good);
  EXPECT_NEAR(seen.mean().item<double>(), 0, 1e-4);
  EXPECT_NEAR(seen.std(/*unbiased=*/false).item<double>(), 1, 1e-4);
  EXPECT_GT(w.project(at::full({1, 6}, 3.0F)).item<float>(), 0);
}

TEST(FisherDiscriminant, SaysNothingWhereThereIsNothingToSay) {
  const at::Tensor same = at::ones({30, 4});
  const auto identical = fisher_discriminant(FeatureMoments::of(same), same.slice(0, 0, 2));
  EXPECT_EQ(identical.direction.abs().max().item<double>(), 0);
  EXPECT_TRUE(std::isfinite(
      fisher_discriminant(FeatureMoments::of(same), same * 2).direction.sum().item<double>()));
  EXPECT_THROW(fisher_discriminant(FeatureMoments::of(same), at::empty({0, 4})),
               std::invalid_argument);
  EXPECT_THROW(fisher_discriminant(FeatureMoments(), same), std::invalid_argument);
}

TEST(ClearOf, LeavesTwoPatchesAroundAMask) {
  at::Tensor marked = at::zeros({2, 6 * 7}, at::kBool);
  marked[0][0] = true;          // a corner
  marked[1][3 * 7 + 3] = true;  // in the middle
  const at::Tensor clear = clear_of(marked, {6, 7});
  EXPECT_EQ(clear[0].sum().item<int>(), 6 * 7 - 9);
  EXPECT_EQ(clear[1].sum().item<int>(), 6 * 7 - 25);
  EXPECT_FALSE(clear[0][2 * 7 + 2].item<bool>());
  EXPECT_TRUE(clear[0][3 * 7 + 2].item<bool>());
}

TEST(UnitRows, HaveLengthOneAndZeroStaysZero) {
  const at::Tensor unit = unit_rows(rows({3, 4, 0, 0}));
  EXPECT_FLOAT_EQ(unit[0][0].item<float>(), 0.6F);
  EXPECT_EQ(unit[1].abs().sum().item<float>(), 0);
}

}  // namespace
}  // namespace nagl
