#include "nagl/nn/losses.h"

#include <cmath>
#include <vector>

#include "nagl/core/error.h"
#include "tensors.h"

namespace nagl {
namespace {

using testing::max_difference;
using testing::relative_difference;

constexpr LossForm kForms[] = {LossForm::kPublished, LossForm::kPaper};
const double kLn2 = std::log(2.0);

using PixelLossFunction = PixelLosses (*)(const at::Tensor&, const at::Tensor&, LossForm);
constexpr PixelLossFunction kBoth[] = {pixel_losses, pixel_losses_by_operators};

at::Tensor bytes(std::vector<std::int64_t> values, at::IntArrayRef shape) {
  return torch::tensor(values).to(at::kByte).reshape(shape);
}

void expect_losses(const at::Tensor& maps, const at::Tensor& masks, LossForm form, double focal,
                   double dice) {
  for (const auto function : kBoth) {
    const auto losses = function(maps, masks, form);
    EXPECT_NEAR(losses.focal.item<double>(), focal, 1e-6) << to_string(form);
    EXPECT_NEAR(losses.dice.item<double>(), dice, 1e-6) << to_string(form);
  }
}

TEST(PixelLosses, PaperFormByHand) {
  const auto map = torch::full({1, 1, 1, 1}, 0.8);
  // The truth has 0.8: focal 0.25 * 0.2^2 * -ln 0.8; Dice 1 - (2 * 0.8 + 1) / (0.8 + 1 + 1).
  expect_losses(map, bytes({1}, {1, 1, 1}), LossForm::kPaper, 0.01 * -std::log(0.8), 0.2 / 2.8);
  // The truth has 0.2: focal 0.75 * 0.8^2 * -ln 0.2; Dice 1 - 1 / (0.8 + 0 + 1).
  expect_losses(map, bytes({0}, {1, 1, 1}), LossForm::kPaper, 0.48 * -std::log(0.2), 0.8 / 1.8);
  // One marked pixel of four, 1/2 everywhere: focal (0.25 + 3 * 0.75) / 4 * 0.5^2 * ln 2;
  // Dice 1 - (2 * 0.5 + 1) / (4 * 0.5 + 1 + 1).
  expect_losses(torch::full({1, 1, 1, 1}, 0.5), bytes({1, 0, 0, 0}, {1, 2, 2}), LossForm::kPaper,
                0.15625 * kLn2, 0.5);
}

TEST(PixelLosses, PublishedFormByHand) {
  // Logits ln 2 and ln 4: sigmoids 2/3 and 4/5, softmax 1/3 and 2/3.
  const auto maps = torch::tensor({std::log(2.0F), std::log(4.0F)}).reshape({1, 2, 1, 1});
  // Marked. Focal: 0.75 * (2/3)^2 * -ln 1/3 for "not normal", 0.25 * (1/5)^2 * -ln 4/5 for
  // "defect". Dice: 1 - 1 / (1/3 + 0 + 1) and 1 - (4/3 + 1) / (2/3 + 1 + 1).
  expect_losses(maps, bytes({1}, {1, 1, 1}), LossForm::kPublished,
                (std::log(3.0) / 3 - 0.01 * std::log(0.8)) / 2, 1.0 / 4 + 1.0 / 8);
  // Not marked. Focal: 0.25 * (1/3)^2 * -ln 2/3 and 0.75 * (4/5)^2 * -ln 1/5.
  // Dice: 1 - (2/3 + 1) / (1/3 + 1 + 1) and 1 - 1 / (2/3 + 0 + 1).
  expect_losses(maps, bytes({0}, {1, 1, 1}), LossForm::kPublished,
                (std::log(1.5) / 36 + 0.48 * std::log(5.0)) / 2, 2.0 / 7 + 2.0 / 5);
  // One marked pixel of two, softmax 1/2 everywhere: each Dice is 1 - (1 + 1) / (1 + 1 + 1). Focal:
  // each pixel has one channel with 0.25 and one with 0.75, the probability is 1/2 throughout.
  expect_losses(torch::zeros({1, 2, 1, 1}), bytes({1, 0}, {1, 1, 2}), LossForm::kPublished,
                0.5 * 0.25 * kLn2, 2.0 / 3);
}

/// The value that a map has at one pixel after upsampling, from the paper's Dice loss of a mask
/// that marks only this pixel: 1 - dice = (2 p + 1) / (sum + 1 + 1).
double upsampled(PixelLossFunction function, const at::Tensor& map, std::int64_t height,
                 std::int64_t width, std::int64_t pixel, double sum) {
  auto mask = at::zeros({1, height, width}, at::kByte);
  mask.flatten()[pixel] = 1;
  const double dice = function(map, mask, LossForm::kPaper).dice.item<double>();
  return ((1 - dice) * (sum + 2) - 1) / 2;
}

TEST(PixelLosses, MapsAreUpsampledWithHalfPixelCentres) {
  const auto map = torch::tensor({0.0F, 0.8F, 0.4F, 0.0F}).reshape({1, 1, 2, 2});
  // Along an axis, (a, b) becomes (a, 3/4 a + 1/4 b, 1/4 a + 3/4 b, b).
  const std::vector<double> expected = {0.0, 0.2,   0.6,   0.8,  //
                                        0.1, 0.225, 0.475, 0.6,  //
                                        0.3, 0.275, 0.225, 0.2,  //
                                        0.4, 0.3,   0.1,   0.0};
  for (const auto function : kBoth) {
    for (std::int64_t pixel = 0; pixel < 16; ++pixel) {
      EXPECT_NEAR(upsampled(function, map, 4, 4, pixel, 4.8),
                  expected[static_cast<std::size_t>(pixel)], 1e-5)
          << pixel;
    }
    // Three pixels from two patches: centres at 1/6, 1/2 and 5/6 of the width.
    const auto row = torch::tensor({0.2F, 0.8F}).reshape({1, 1, 1, 2});
    for (const auto& [pixel, value] : {std::pair(0, 0.2), std::pair(1, 0.5), std::pair(2, 0.8)}) {
      EXPECT_NEAR(upsampled(function, row, 1, 3, pixel, 1.5), value, 1e-5) << pixel;
    }
  }
}

/// Sizes of a map and its mask.
struct Case {
  std::int64_t batch, rows, columns, height, width;
};
constexpr Case kCases[] = {
    {1, 1, 1, 1, 1},  {2, 1, 1, 5, 3},  {1, 4, 4, 4, 4}, {3, 3, 5, 42, 70},
    {2, 5, 3, 17, 8}, {2, 7, 6, 23, 9}, {1, 2, 1, 1, 9},  // a mask may be smaller than its map
    {1, 8, 8, 5, 5},
};

struct Example {
  at::Tensor maps, masks;
};

/// Similarities or probabilities between 0 and 1, and a mask with a rectangle and a few loose
/// pixels; the first of a batch has an empty mask, the last of three a full one.
Example example(const Case& shape, LossForm form, std::uint64_t seed) {
  const auto random = at::make_generator<at::CPUGeneratorImpl>(seed);
  const std::int64_t channels = form == LossForm::kPublished ? 2 : 1;
  Example result;
  result.maps = torch::rand({shape.batch, channels, shape.rows, shape.columns}, random);
  result.masks = torch::rand({shape.batch, shape.height, shape.width}, random).lt(0.1);
  result.masks.slice(1, shape.height / 3, shape.height)
      .slice(2, 0, (shape.width + 1) / 2)
      .fill_(true);
  result.masks = result.masks.to(at::kByte);
  if (shape.batch > 1) result.masks[0].zero_();
  if (shape.batch > 2) result.masks[2].fill_(1);
  return result;
}

/// The gradient of the two losses weighted differently for every sample, so that nothing is hidden
/// by a sum.
at::Tensor gradient(PixelLossFunction function, const Example& at, LossForm form) {
  const auto maps = at.maps.clone().requires_grad_(true);
  const auto losses = function(maps, at.masks, form);
  const auto weight = torch::arange(1, maps.size(0) + 1, maps.options().requires_grad(false));
  (losses.focal * weight - 0.5 * losses.dice * weight.square()).sum().backward();
  return maps.grad();
}

at::Tensor last_channel(const at::Tensor& maps) { return maps.select(1, maps.size(1) - 1); }

TEST(PixelLosses, FusedKernelEqualsOperators) {
  for (const auto form : kForms) {
    std::uint64_t seed = 1;
    for (const auto& shape : kCases) {
      SCOPED_TRACE(::testing::Message()
                   << to_string(form) << " " << shape.rows << "x" << shape.columns << " to "
                   << shape.height << "x" << shape.width);
      const Example here = example(shape, form, seed++);
      // The operators in double are the exact value; single precision has 6e-8.
      const Example exact = {here.maps.to(at::kDouble), here.masks};
      const auto fused = pixel_losses(here.maps, here.masks, form);
      const auto expected = pixel_losses_by_operators(exact.maps, exact.masks, form);
      EXPECT_EQ(fused.focal.scalar_type(), at::kFloat);
      EXPECT_LT(relative_difference(fused.focal, expected.focal), 1e-6);
      EXPECT_LT(relative_difference(fused.dice, expected.dice), 1e-6);
      const auto found = gradient(pixel_losses, here, form);
      const auto right = gradient(pixel_losses_by_operators, exact, form);
      EXPECT_LT(relative_difference(last_channel(found), last_channel(right)), 5e-6);
    }
  }
}

TEST(PixelLosses, EmptyAndFullMasks) {
  for (const auto form : kForms) {
    for (const std::int64_t mark : {0, 1}) {
      Example here = example({2, 3, 4, 20, 30}, form, 7);
      here.masks.fill_(mark);
      const Example exact = {here.maps.to(at::kDouble), here.masks};
      for (const auto function : kBoth) {
        const auto losses = function(here.maps, here.masks, form);
        const auto expected = pixel_losses_by_operators(exact.maps, exact.masks, form);
        EXPECT_LT(relative_difference(losses.focal, expected.focal), 1e-6);
        EXPECT_LT(relative_difference(losses.dice, expected.dice), 1e-6);
        EXPECT_LT(
            relative_difference(last_channel(gradient(function, here, form)),
                                last_channel(gradient(pixel_losses_by_operators, exact, form))),
            5e-6);
      }
    }
  }
}

TEST(PixelLosses, FusedGradientEqualsFiniteDifferences) {
  constexpr double kStep = 1e-5;
  for (const auto form : kForms) {
    const Example here = example({2, 3, 4, 11, 7}, form, 3);
    const auto found = gradient(pixel_losses, here, form);
    const auto value_at = [&](const at::Tensor& maps) {
      const auto losses = pixel_losses_by_operators(maps, here.masks, form);
      const auto weight = torch::arange(1, maps.size(0) + 1, maps.options());
      return (losses.focal * weight - 0.5 * losses.dice * weight.square()).sum().item<double>();
    };
    const auto maps = here.maps.to(at::kDouble);
    auto expected = at::zeros_like(last_channel(maps));
    for (std::int64_t sample = 0; sample < 2; ++sample) {
      for (std::int64_t patch = 0; patch < 12; ++patch) {
        const auto moved = [&](double step) {
          auto there = maps.clone();
          last_channel(there)[sample].view({-1})[patch] += step;
          return value_at(there);
        };
        expected[sample].view({-1})[patch] = (moved(kStep) - moved(-kStep)) / (2 * kStep);
      }
    }
    EXPECT_LT(relative_difference(last_channel(found), expected), 5e-6) << to_string(form);
  }
}

TEST(PixelLosses, TheGradientFlowsIntoTheLastChannelAlone) {
  const Example here = example({2, 3, 4, 12, 16}, LossForm::kPublished, 4);
  const auto found = gradient(pixel_losses, here, LossForm::kPublished);
  EXPECT_EQ(found.select(1, 0).abs().max().item<float>(), 0);
  EXPECT_GT(found.select(1, 1).abs().min().item<float>(), 0);
}

TEST(PixelLosses, CertainAndWrongIsFinite) {
  // Probability 0 counts as 1e-7; there the loss is flat.
  auto map = torch::zeros({1, 1, 1, 1}).requires_grad_(true);
  const auto mask = bytes({1}, {1, 1, 1});
  for (const auto function : kBoth) {
    const auto losses = function(map, mask, LossForm::kPaper);
    EXPECT_NEAR(losses.focal.item<double>(), 0.25 * -std::log(1e-7), 1e-5);
    losses.focal.sum().backward();
    EXPECT_EQ(map.grad().item<float>(), 0);
    map.mutable_grad().reset();
  }
  // Far outside of [0, 1], as logits may be: -log sigmoid(-200) = 200, its square-weighted mean.
  const auto far = torch::tensor({200.0F, -200.0F}).reshape({1, 2, 1, 1});
  expect_losses(far, mask, LossForm::kPublished, (0.75 * 200 + 0.25 * 200) / 2, 0.5 + 0.5);
}

TEST(PixelLosses, TakesAnyStrides) {
  for (const auto form : kForms) {
    const Example here = example({2, 4, 3, 9, 6}, form, 5);
    const auto maps = here.maps.transpose(2, 3).contiguous().transpose(2, 3);
    const auto masks = here.masks.transpose(1, 2).contiguous().transpose(1, 2);
    ASSERT_FALSE(maps.is_contiguous() || masks.is_contiguous());
    const auto expected = pixel_losses(here.maps, here.masks, form);
    const auto found = pixel_losses(maps, masks, form);
    EXPECT_EQ(max_difference(found.focal, expected.focal), 0);
    EXPECT_EQ(max_difference(found.dice, expected.dice), 0);
  }
}

TEST(PixelLosses, RefusesWhatDoesNotFit) {
  const auto one = torch::zeros({2, 1, 3, 3}), two = torch::zeros({2, 2, 3, 3});
  const auto masks = at::zeros({2, 6, 6}, at::kByte);
  EXPECT_THROW(pixel_losses(one, masks, LossForm::kPublished), std::invalid_argument);
  EXPECT_THROW(pixel_losses(two, masks, LossForm::kPaper), std::invalid_argument);
  EXPECT_THROW(pixel_losses(two, masks.slice(0, 0, 1), LossForm::kPublished),
               std::invalid_argument);
  EXPECT_THROW(pixel_losses(two, masks[0], LossForm::kPublished), std::invalid_argument);
}

/// Losses of one query whose fused scores are given; the similarities are what they would be with
/// an abnormal similarity of `fused`.
EpisodeLosses losses_of(const at::Tensor& fused, float label, LossForm form) {
  PatchScores scores;
  scores.fused = fused.unsqueeze(0);
  scores.abnormal_similarity = scores.fused;
  scores.normal_similarity = 1 - scores.fused;
  const PatchGrid grid{1, fused.size(0)};
  return episode_losses(scores, grid, torch::full({1}, label),
                        at::zeros({1, 2, fused.size(0)}, at::kByte), form);
}

TEST(EpisodeLosses, ClassificationByHand) {
  auto fused = at::zeros({200});
  fused[17] = 0.8;
  fused[101] = 0.6;
  const auto loss = [&](float label, LossForm form) {
    return losses_of(fused, label, form).classification.item<double>();
  };
  // The paper's image score is the mean of the top 1 %, two patches: 0.7.
  EXPECT_NEAR(loss(1, LossForm::kPaper), -std::log(0.7), 1e-6);
  EXPECT_NEAR(loss(0, LossForm::kPaper), -std::log(0.3), 1e-6);
  // The published one is the mean of 20: 0.07, with logits 0.93 and 0.07.
  EXPECT_NEAR(loss(1, LossForm::kPublished), std::log(1 + std::exp(0.86)), 1e-6);
  EXPECT_NEAR(loss(0, LossForm::kPublished), std::log(1 + std::exp(-0.86)), 1e-6);
  // Of fewer than 20 patches it is the mean of all.
  EXPECT_NEAR(
      losses_of(torch::tensor({0.5F, 1.0F}), 1, LossForm::kPublished).classification.item<double>(),
      std::log(1 + std::exp(-0.5)), 1e-6);
}

TEST(EpisodeLosses, WhatIsNotANumberStaysInItsEpisode) {
  for (const auto form : kForms) {
    PatchScores scores;
    scores.fused = torch::full({2, 4}, 0.5);
    scores.fused[0][2] = NAN;
    scores.abnormal_similarity = scores.fused;
    scores.normal_similarity = torch::full({2, 4}, 0.5);
    const auto losses =
        episode_losses(scores, {2, 2}, torch::ones({2}), at::ones({2, 4, 4}, at::kByte), form);
    // Said by the classification term; the fused kernel's own terms may hide it.
    EXPECT_TRUE(std::isnan(losses.classification[0].item<float>())) << to_string(form);
    for (const auto& term : {losses.classification, losses.focal, losses.dice}) {
      EXPECT_TRUE(std::isfinite(term[1].item<float>())) << to_string(form);
    }
  }
}

TEST(EpisodeLosses, ACertainAndWrongScoreIsFinite) {
  auto fused = at::zeros({1, 4}).requires_grad_(true);
  PatchScores scores{fused, fused, fused};
  const auto losses = episode_losses(scores, {2, 2}, torch::ones({1}),
                                     at::ones({1, 4, 4}, at::kByte), LossForm::kPaper);
  EXPECT_NEAR(losses.classification.item<double>(), -std::log(1e-7), 1e-4);
  losses.total(1).sum().backward();
  EXPECT_TRUE(at::isfinite(fused.grad()).all().item<bool>());
}

TEST(EpisodeLosses, PixelTermsTakeTheMapsOfTheirForm) {
  const auto random = at::make_generator<at::CPUGeneratorImpl>(2);
  PatchScores scores;
  scores.normal_similarity = torch::rand({2, 6}, random);
  scores.abnormal_similarity = torch::rand({2, 6}, random);
  scores.fused = torch::rand({2, 6}, random);
  const auto masks = torch::rand({2, 8, 12}, random).lt(0.3).to(at::kByte);
  const auto labels = torch::tensor({1.0F, 0.0F});
  const auto expect = [&](LossForm form, const at::Tensor& maps) {
    const auto losses = episode_losses(scores, {2, 3}, labels, masks, form);
    const auto pixel = pixel_losses(maps, masks, form);
    EXPECT_EQ(max_difference(losses.focal, pixel.focal), 0);
    EXPECT_EQ(max_difference(losses.dice, pixel.dice), 0);
    EXPECT_LT(
        max_difference(losses.total(3), losses.classification + 3 * losses.focal + 3 * losses.dice),
        1e-6);
  };
  expect(
      LossForm::kPublished,
      at::stack({scores.normal_similarity, scores.abnormal_similarity}, 1).reshape({2, 2, 2, 3}));
  expect(LossForm::kPaper, scores.fused.reshape({2, 1, 2, 3}));
}

TEST(LossForm, IsReadByName) {
  for (const auto form : kForms) {
    LossForm read = form == LossForm::kPaper ? LossForm::kPublished : LossForm::kPaper;
    parse(to_string(form), read);
    EXPECT_EQ(read, form);
  }
  LossForm unchanged = LossForm::kPaper;
  EXPECT_NE(testing::message_of<ConfigError>([&] { parse("Paper", unchanged); }).find("'Paper'"),
            std::string::npos);
}

}  // namespace
}  // namespace nagl
