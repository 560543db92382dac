#include "nn/linear_kernel.h"

#include <ATen/Parallel.h>

#include <limits>

#include "nn/block_product.h"
#include "tensors.h"

namespace nagl {
namespace {

using testing::message_of;
using testing::relative_difference;

constexpr float kInfinity = std::numeric_limits<float>::infinity();
constexpr float kNan = std::numeric_limits<float>::quiet_NaN();

class LinearKernelTest : public ::testing::Test {
 protected:
  void SetUp() override {
    if (!has_block_product()) GTEST_SKIP() << "no block products on this processor";
    at::manual_seed(7);
  }
};

TEST_F(LinearKernelTest, IsTheProductAndTheBiasAndTheOther) {
  const auto packed = pack_for_blocks(torch::full({128, 1}, 10.0F));
  const auto bias = torch::arange(128, at::kFloat);
  const auto input = torch::tensor({{2.0F}, {3.0F}});
  const auto output = block_linear(input, packed, bias);
  EXPECT_TRUE(output.equal(at::stack({20 + bias, 30 + bias})));
  const auto other = torch::tensor({{1.0F}, {-30.0F}}).expand({2, 128});
  EXPECT_TRUE(block_linear(input, packed, bias, other).equal(at::stack({21 + bias, bias})));
}

TEST_F(LinearKernelTest, EdgeSizesOnTwoThreadsEqualTheOperator) {
  const int threads = at::get_num_threads();
  at::set_num_threads(2);
  for (const auto& [inputs, outputs] :
       {std::pair{1, 128}, {7, 256}, {384, 128}, {768, 384}, {769, 64}, {1536, 192}}) {
    const auto weight = torch::randn({outputs, inputs}), bias = torch::randn({outputs});
    const auto packed = pack_for_blocks(weight);
    ASSERT_TRUE(packed.defined()) << inputs << " " << outputs;
    for (const std::int64_t rows : {1, 2, 63, 64, 65, 127, 129}) {
      const auto input = torch::randn({rows, inputs}), other = torch::randn({rows, outputs});
      const auto expected = at::linear(input, weight, bias);
      EXPECT_LT(relative_difference(block_linear(input, packed, bias), expected), 2e-6) << rows;
      EXPECT_LT(relative_difference(block_linear(input, packed, bias, other), expected + other),
                2e-6);
    }
  }
  at::set_num_threads(threads);
}

TEST_F(LinearKernelTest, TakesAnyLeadingSizesAndOrder) {
  const auto weight = torch::randn({128, 5}), bias = torch::randn({128});
  const auto packed = pack_for_blocks(weight);
  for (const auto& input : {torch::randn({5}), torch::randn({2, 3, 5}), torch::randn({5, 70}).t(),
                            torch::randn({0, 5})}) {
    const auto expected = at::linear(input, weight, bias),
               output = block_linear(input, packed, bias);
    EXPECT_EQ(output.sizes(), expected.sizes());
    EXPECT_TRUE(at::allclose(output, expected, 1e-5, 1e-6));
  }
}

// Small whole numbers: every sum is exact, so results are equal whatever their order.
TEST_F(LinearKernelTest, WhatIsNotFiniteStaysInItsRow) {
  const auto weight = torch::randint(-3, 4, {128, 33}, at::kFloat), bias = torch::ones({128});
  auto input = torch::randint(-3, 4, {65, 33}, at::kFloat);
  input[1][32] = kNan;
  input[63][0] = kInfinity;
  input[64][5] = -kInfinity;
  const auto output = block_linear(input, pack_for_blocks(weight), bias);
  EXPECT_TRUE(at::allclose(output, at::linear(input, weight, bias), 0, 0, /*equal_nan=*/true));
  EXPECT_TRUE(output[1].isnan().all().item<bool>());
  EXPECT_TRUE(output[0].isfinite().all().item<bool>());
}

TEST_F(LinearKernelTest, OutputsThatFillNoBlockAreNotPacked) {
  EXPECT_FALSE(pack_for_blocks(torch::ones({65, 4})).defined());
  EXPECT_FALSE(pack_for_blocks(torch::ones({64, 768})).defined());
  EXPECT_TRUE(pack_for_blocks(torch::ones({64, 769})).defined());
}

TEST_F(LinearKernelTest, RefusesWhatDoesNotFit) {
  const auto packed = pack_for_blocks(torch::ones({128, 4})), bias = torch::ones({128}),
             input = torch::ones({2, 4});
  const auto refusal = [&](const at::Tensor& in, const at::Tensor& weights,
                           const at::Tensor& offsets, const at::Tensor& other) {
    return message_of<std::invalid_argument>([&] { block_linear(in, weights, offsets, other); });
  };
  EXPECT_EQ(refusal(torch::ones({2, 5}), packed, bias, {}),
            "block linear layer: an input of another width than the weights");
  EXPECT_EQ(refusal(input.to(at::kDouble), packed, bias, {}),
            "block linear layer: an input that is not of the weights' type on the CPU");
  EXPECT_EQ(refusal(input, torch::ones({128, 4}), bias, {}),
            "block linear layer: weights that pack_for_blocks did not pack");
  for (const auto& offsets : {torch::ones({127}), torch::ones({256}).slice(0, 0, 256, 2),
                              torch::ones({128}, at::kDouble), at::Tensor()}) {
    EXPECT_EQ(refusal(input, packed, offsets, {}),
              "block linear layer: a bias that is not [out] float32 contiguous on the CPU");
  }
  for (const auto& other :
       {torch::ones({128}), torch::ones({3, 128}), torch::ones({2, 128}, at::kDouble)}) {
    EXPECT_EQ(
        refusal(input, packed, bias, other),
        "block linear layer: what is to be added is not of the output's sizes and type on the "
        "CPU");
  }
  EXPECT_EQ(message_of<std::invalid_argument>([] { pack_for_blocks(torch::ones({128})); }),
            "weights of a block linear layer: not [out, in] float32 or bfloat16 on the CPU");
}

}  // namespace
}  // namespace nagl
