#include "nn/attention_kernel.h"

#include <ATen/Parallel.h>

#include <limits>

#include "nn/block_product.h"
#include "tensors.h"

namespace nagl {
namespace {

using testing::max_difference;
using testing::message_of;

constexpr float kInfinity = std::numeric_limits<float>::infinity();
constexpr float kNan = std::numeric_limits<float>::quiet_NaN();

/// By operators, in double. @param qkv [B, T, 3, heads, d] @return [B, T, heads * d]
at::Tensor by_operators(const at::Tensor& qkv) {
  const auto by_head = qkv.to(at::kDouble).permute({2, 0, 3, 1, 4});
  const double scale = 1 / std::sqrt(static_cast<double>(qkv.size(4)));
  const auto logits = at::matmul(by_head[0] * scale, by_head[1].transpose(-1, -2));
  return at::matmul(logits.softmax(-1), by_head[2])
      .transpose(1, 2)
      .reshape({qkv.size(0), qkv.size(1), qkv.size(3) * qkv.size(4)});
}

class AttentionKernelTest : public ::testing::Test {
 protected:
  void SetUp() override {
    if (!has_block_product()) GTEST_SKIP() << "no block products on this processor";
    at::manual_seed(8);
  }
};

TEST_F(AttentionKernelTest, EqualKeysGiveTheMeanOfValues) {
  auto qkv = torch::zeros({1, 3, 3, 1, 2});
  qkv.select(2, 0).fill_(5);
  qkv[0][0][2][0] = torch::tensor({1.0F, 10.0F});
  qkv[0][1][2][0] = torch::tensor({2.0F, 20.0F});
  qkv[0][2][2][0] = torch::tensor({6.0F, 60.0F});
  EXPECT_LT(max_difference(block_attention(qkv)[0], torch::tensor({3.0F, 30.0F}).expand({3, 2})),
            1e-5);
}

TEST_F(AttentionKernelTest, EdgeSizesOnTwoThreadsEqualOperators) {
  const int threads = at::get_num_threads();
  at::set_num_threads(2);
  for (const std::int64_t tokens : {1, 2, 15, 16, 17, 63, 64, 65, 129, 1025}) {
    for (const auto& [heads, depth] : {std::pair{1, 1}, {3, 5}, {2, 64}}) {
      const auto qkv = torch::randn({2, tokens, 3, heads, depth});
      EXPECT_LT(max_difference(block_attention(qkv), by_operators(qkv)), 5e-6)
          << tokens << " " << heads << " " << depth;
    }
  }
  at::set_num_threads(threads);
}

TEST_F(AttentionKernelTest, OneKeyMayOutweighAllOthers) {
  auto qkv = torch::randn({1, 65, 3, 1, 4});
  qkv.select(2, 0).fill_(1);
  qkv[0][40][1] = 1e4F;
  EXPECT_LT(
      max_difference(block_attention(qkv), qkv[0][40][2].reshape({1, 1, 4}).expand({1, 65, 4})),
      1e-6);
}

TEST_F(AttentionKernelTest, WhatIsNotANumberReachesEveryTokenThatLooksAtIt) {
  const auto finite = torch::randn({2, 33, 3, 2, 4});
  for (const std::int64_t part : {0, 1, 2}) {  // of a query, a key, a value
    for (const float value : {kNan, kInfinity}) {
      auto qkv = finite.clone();
      qkv[1][20][part][1][3] = value;
      const auto output = block_attention(qkv), expected = by_operators(qkv);
      EXPECT_TRUE(output.isfinite().equal(expected.isfinite())) << part << " " << value;
      EXPECT_TRUE(output[0].isfinite().all().item<bool>());
      EXPECT_EQ(output[1][20][7].isnan().item<bool>(), expected[1][20][7].isnan().item<bool>());
    }
  }
}

TEST_F(AttentionKernelTest, RefusesWhatItCannotRead) {
  const auto refusal = [](const at::Tensor& qkv) {
    return message_of<std::invalid_argument>([&] { block_attention(qkv); });
  };
  const auto right = torch::ones({1, 2, 3, 1, 4});
  for (const auto& qkv : {right.to(at::kDouble), right[0], torch::ones({1, 2, 2, 1, 4}),
                          torch::ones({1, 3, 2, 1, 4}).transpose(1, 2), at::Tensor()}) {
    EXPECT_EQ(refusal(qkv),
              "block attention: not [B, T, 3, heads, d] float32 or bfloat16 contiguous on the CPU");
  }
  EXPECT_EQ(refusal(torch::ones({1, 0, 3, 1, 4})), "block attention: no tokens, heads or channels");
}

}  // namespace
}  // namespace nagl
