#include "nn/pixel_loss_kernel.h"

#include <ATen/Parallel.h>

#include <cmath>
#include <limits>

#include "nagl/nn/losses.h"
#include "tensors.h"

namespace nagl {
namespace {

using testing::max_difference;
using testing::message_of;

constexpr float kInfinity = std::numeric_limits<float>::infinity();
constexpr float kNan = std::numeric_limits<float>::quiet_NaN();

TEST(PixelLossKernel, OnePixelByHand) {
  const float fused = 0.75F;
  const std::uint8_t mask = 1;
  float focal_gradient = 0, dice_gradient = 0;
  PixelLossTerms terms{0, 0, &focal_gradient, &dice_gradient};
  paper_pixel_loss({1, 1, 1, 1}, &fused, &mask, terms);
  // 0.25 (1 - p)^2 (-log p), and 1 - (2 p + 1) / (p + 1 + 1).
  EXPECT_NEAR(terms.focal, 0.25 * 0.0625 * -std::log(0.75), 1e-7);
  EXPECT_NEAR(terms.dice, 1 - 2.5 / 2.75, 1e-7);
  EXPECT_NEAR(focal_gradient, 0.25 * (2 * 0.25 * std::log(0.75) - 0.0625 / 0.75), 1e-6);
  EXPECT_NEAR(dice_gradient, -2 / 2.75 + 2.5 / (2.75 * 2.75), 1e-6);

  const float zero = 0;  // both channels alike: q = 1/2
  published_pixel_loss({1, 1, 1, 1}, &zero, &zero, &mask, terms);
  EXPECT_NEAR(terms.focal, 0.25 * std::log(2) / 2, 1e-7);  // of 0.25 and 0.75, each (1/2)^2 log 2
  EXPECT_NEAR(terms.dice, 1 - 2 / 2.5 + 1 - 1 / 1.5, 1e-7);
}

TEST(PixelLossKernel, EdgeSizesOnTwoThreadsEqualOperators) {
  const int threads = at::get_num_threads();
  at::set_num_threads(2);
  at::manual_seed(10);
  for (const auto form : {LossForm::kPublished, LossForm::kPaper}) {
    for (const auto& [rows, columns, height, width] :
         {std::array{1, 1, 1, 1}, {1, 7, 13, 5}, {7, 1, 1, 65}, {5, 3, 31, 63}, {4, 4, 2, 2}}) {
      const auto maps = torch::rand({3, form == LossForm::kPublished ? 2 : 1, rows, columns});
      const auto masks = torch::randint(0, 2, {3, height, width}, at::kByte);
      const auto found = pixel_losses(maps, masks, form),
                 expected = pixel_losses_by_operators(maps, masks, form);
      EXPECT_LT(max_difference(found.focal, expected.focal), 1e-5) << rows << " " << columns;
      EXPECT_LT(max_difference(found.dice, expected.dice), 1e-5) << rows << " " << columns;
    }
  }
  at::set_num_threads(threads);
}

TEST(PixelLossKernel, WhatIsNotANumberIsOneInTheLoss) {
  const auto masks = torch::ones({1, 9, 9}, at::kByte);
  for (const auto form : {LossForm::kPublished, LossForm::kPaper}) {
    const std::int64_t channels = form == LossForm::kPublished ? 2 : 1;
    for (std::int64_t channel = 0; channel < channels; ++channel) {
      for (const float value : {kNan, kInfinity, -kInfinity}) {
        auto maps = torch::full({1, channels, 3, 3}, 0.5F);
        maps[0][channel][1][1] = value;
        const auto found = pixel_losses(maps, masks, form);
        EXPECT_TRUE(found.focal.isnan().item<bool>()) << to_string(form) << channel << value;
        EXPECT_TRUE(found.dice.isnan().item<bool>()) << to_string(form) << channel << value;
      }
    }
  }
}

TEST(PixelLossKernel, RefusesWhatItCannotRead) {
  const float map = 0;
  const std::uint8_t mask = 0;
  float gradient = 0;
  PixelLossTerms terms{0, 0, &gradient, &gradient}, none;
  const auto refusal = [&](const PixelLossShape& shape, const float* of, PixelLossTerms& to) {
    return message_of<std::invalid_argument>([&] { paper_pixel_loss(shape, of, &mask, to); });
  };
  EXPECT_EQ(refusal({0, 1, 1, 1}, &map, terms), "pixel loss: an empty map or mask");
  EXPECT_EQ(refusal({1, 1, 1, 0}, &map, terms), "pixel loss: an empty map or mask");
  EXPECT_EQ(refusal({1, 1, 1, 1}, nullptr, terms),
            "pixel loss: a map, mask or gradient is missing");
  EXPECT_EQ(refusal({1, 1, 1, 1}, &map, none), "pixel loss: a map, mask or gradient is missing");
  EXPECT_EQ(message_of<std::invalid_argument>([] {
              pixel_losses(torch::rand({1, 1, 2, 2}), torch::ones({1, 4, 4}), LossForm::kPaper);
            }),
            "pixel losses: masks that are not uint8 on the CPU, as the maps");
}

}  // namespace
}  // namespace nagl
