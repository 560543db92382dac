// The kernels in bfloat16, here with block products by loops (plain_block_product.cpp). With those
// of the processor they are tested by nn/frozen_linear and nn/vision_transformer, where it has
// them.

#include <cmath>
#include <limits>
#include <tuple>

#include "nagl/nn/frozen_linear.h"
#include "nn/attention_kernel.h"
#include "nn/block_product.h"
#include "nn/linear_kernel.h"
#include "nn/neighbor_kernel.h"
#include "nn/simd.h"
#include "tensors.h"

namespace nagl {
namespace {

using testing::max_difference;
using testing::relative_difference;

at::Tensor halved(const at::Tensor& tensor) { return tensor.to(at::kBFloat16); }

TEST(Bfloat16Kernels, RoundAsTorchDoes) {
  const auto values =
      at::cat({torch::randn({1000}),
               torch::tensor({0.0F, -0.0F, 1.00390625F, 1.01171875F, 3e38F, -1e-40F})});
  const auto expected = halved(values).view(at::kShort);
  for (std::int64_t i = 0; i < values.numel(); ++i) {
    EXPECT_EQ(static_cast<std::int16_t>(to_bfloat16(values[i].item<float>())),
              expected[i].item<std::int16_t>())
        << values[i].item<float>();
  }
  EXPECT_TRUE(std::isnan(from_bfloat16(to_bfloat16(std::numeric_limits<float>::quiet_NaN()))));
  EXPECT_TRUE(std::isinf(from_bfloat16(to_bfloat16(std::numeric_limits<float>::infinity()))));
}

TEST(Bfloat16Kernels, GeluIsTheExactOne) {
  const auto values = at::linspace(-12, 12, 4801);
  const auto expected = at::gelu(values.to(at::kDouble)).to(at::kFloat);
  for (std::int64_t i = 0; i < values.numel(); ++i) {
    EXPECT_NEAR(gelu(values[i].item<float>()), expected[i].item<float>(), 2e-6);
  }
}

TEST(Bfloat16Kernels, PairsStandSideBySide) {
  const auto rows = halved(torch::arange(12).reshape({3, 4}));  // 0 1 2 3, 4 5 6 7, 8 9 10 11
  const auto* from = rows.const_data_ptr<c10::BFloat16>();
  auto paired = halved(torch::full({2, 4, 2}, -1));
  pair_rows(3, 4, 4, from, 4, paired.data_ptr<c10::BFloat16>());
  EXPECT_TRUE(paired.equal(halved(
      torch::tensor({0, 4, 1, 5, 2, 6, 3, 7, 8, 0, 9, 0, 10, 0, 11, 0}).reshape({2, 4, 2}))));
  auto turned = halved(torch::full({2, kLane, 2}, -1));
  pair_columns(3, 4, from, 4, turned.data_ptr<c10::BFloat16>(), kLane);
  EXPECT_TRUE(turned[0].slice(0, 0, 3).equal(halved(torch::tensor({{0, 1}, {4, 5}, {8, 9}}))));
  EXPECT_TRUE(turned[1].slice(0, 0, 3).equal(halved(torch::tensor({{2, 3}, {6, 7}, {10, 11}}))));
  EXPECT_TRUE(turned.slice(1, 3).eq(0).all().item<bool>());
}

TEST(Bfloat16Kernels, AttentionIsThatOfOperators) {
  at::manual_seed(3);
  for (const std::int64_t tokens : {1, 2, 16, 17, 65, 130}) {
    for (const auto& [heads, depth] : {std::pair{1, 2}, {3, 6}, {2, 64}}) {
      const auto qkv = halved(torch::randn({2, tokens, 3, heads, depth}));
      const auto by_head = qkv.to(at::kDouble).permute({2, 0, 3, 1, 4});
      const auto logits = at::matmul(by_head[0], by_head[1].transpose(-1, -2)) / std::sqrt(depth);
      const auto expected = at::matmul(logits.softmax(-1), by_head[2])
                                .transpose(1, 2)
                                .reshape({2, tokens, heads * depth});
      const auto found = block_attention(qkv);
      ASSERT_EQ(found.scalar_type(), at::kBFloat16);
      EXPECT_LT(max_difference(found.to(at::kDouble), expected), 2e-2)
          << tokens << " " << heads << " " << depth;
    }
  }
  EXPECT_FALSE(block_attention(halved(torch::ones({1, 2, 3, 1, 3}))).defined());
}

TEST(Bfloat16Kernels, ALinearLayerIsThatOfOperators) {
  at::manual_seed(4);
  for (const auto& [inputs, outputs] : {std::pair{2, 128}, {384, 256}, {770, 64}}) {
    const auto weight = halved(torch::randn({outputs, inputs}) / std::sqrt(inputs));
    const auto bias = torch::randn({outputs});
    const auto packed = pack_for_blocks(weight);
    ASSERT_TRUE(packed.defined());
    for (const std::int64_t rows : {1, 63, 65}) {
      const auto input = halved(torch::randn({rows, inputs}));
      const auto other = halved(torch::randn({rows, outputs}));
      const auto expected = at::linear(input.to(at::kFloat), weight.to(at::kFloat), bias);
      const auto found = block_linear(input, packed, bias);
      ASSERT_EQ(found.scalar_type(), at::kBFloat16);
      // Of sums in float32, rounded once.
      EXPECT_LT(relative_difference(found, expected), 3e-3);
      EXPECT_LT(relative_difference(block_linear(input, packed, bias, other), expected + other),
                3e-3);
      EXPECT_LT(relative_difference(block_linear_gelu(input, packed, bias), at::gelu(expected)),
                3e-3);
    }
  }
  EXPECT_FALSE(pack_for_blocks(halved(torch::ones({128, 3}))).defined());
}

TEST(Bfloat16Kernels, NeighborsAreThoseOfRoundedRows) {
  at::manual_seed(5);
  for (const auto& [count, total, width] :
       {std::tuple{1, 1, 2}, {17, 65, 6}, {257, 129, 96}, {600, 63, 384}}) {
    const auto queries = torch::randn({count, width});
    const NeighborRows references(torch::randn({total, width}), /*halved=*/true);
    ASSERT_EQ(references.halves.scalar_type(), at::kBFloat16);
    const auto products =
        at::mm(halved(queries).to(at::kFloat), references.halves.to(at::kFloat).t());
    NearestNeighbors found;
    ASSERT_TRUE(block_neighbors(queries, references, ResidualMetric::kDot, true, found));
    EXPECT_LT(max_difference(found.best, products.amax(1)), 1e-3);
    EXPECT_LT(
        max_difference(products.gather(1, found.index.unsqueeze(1)).squeeze(1), products.amax(1)),
        1e-3);
    EXPECT_LT(max_difference(found.max_cosine, (products * references.inverse_norm).amax(1)), 1e-4);
    // The cosine that users see, against that of unrounded rows.
    EXPECT_LT(max_difference(max_cosine(queries, references),
                             max_cosine(queries, NeighborRows(references.rows))),
              width < 96 ? 2e-2 : 2e-3);
  }
  NearestNeighbors found;
  EXPECT_FALSE(block_neighbors(torch::randn({4, 3}), NeighborRows(torch::randn({2, 3}), true),
                               ResidualMetric::kDot, true, found));
}

TEST(Bfloat16Kernels, AFrozenLayerTakesThem) {
  const at::NoGradGuard no_grad;
  torch::nn::Linear plain(384, 128), layer(384, 128);
  layer->weight.copy_(plain->weight);
  layer->bias.copy_(plain->bias);
  layer->to(at::kBFloat16);
  const FrozenLinear frozen(layer);
  const auto input = torch::randn({65, 384}), expected = plain->forward(input);
  EXPECT_LT(relative_difference(frozen.forward(halved(input)), expected), 1e-2);
  EXPECT_LT(relative_difference(frozen.forward_gelu(halved(input)), at::gelu(expected)), 1e-2);
  EXPECT_LT(relative_difference(frozen.forward_add(halved(input), halved(expected)), 2 * expected),
            1e-2);
}

}  // namespace
}  // namespace nagl
