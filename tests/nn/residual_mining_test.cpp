#include "nagl/nn/residual_mining.h"

#include "nagl/nn/position_encoding.h"
#include "tensors.h"

namespace nagl {
namespace {

using testing::max_difference;

constexpr std::int64_t kWidth = 8, kRows = 3, kColumns = 4, kPatches = kRows * kColumns;

TEST(PackMasked, ByHand) {
  const auto mask = torch::tensor({{false, true, false, true}, {false, false, false, true}});
  const auto packed = pack_masked(mask);
  // Two tokens, as the fuller row needs; the other row is filled up with one that does not count.
  EXPECT_TRUE(packed.index.equal(torch::tensor({{1, 3}, {3, 0}}, at::kLong)));
  EXPECT_TRUE(packed.mask.equal(torch::tensor({{true, true}, {true, false}})));
}

TEST(PackMasked, AllAndOne) {
  const auto all = pack_masked(at::ones({1, 3}, at::kBool));
  EXPECT_TRUE(all.index.equal(torch::tensor({{0, 1, 2}}, at::kLong)));
  EXPECT_TRUE(all.mask.all().item<bool>());
  auto one = at::zeros({1, 5}, at::kBool);
  one[0][4] = true;
  EXPECT_TRUE(pack_masked(one).index.equal(torch::tensor({{4}}, at::kLong)));
}

/// Weights that are random throughout, so that biases count.
ResidualMining random_mining() {
  ResidualMining mining(kWidth, 2, 5);
  const at::NoGradGuard no_grad;
  const auto random = at::make_generator<at::CPUGeneratorImpl>(1);
  for (auto& parameter : mining->parameters()) parameter.normal_(0, 0.5, random);
  mining->to(at::kDouble);
  return mining;
}

/// All tokens of K2 references for each of three episodes, which have 1, 4 and 7 masked in.
DefectPatches all_tokens(std::int64_t references) {
  const auto random = at::make_generator<at::CPUGeneratorImpl>(2);
  const std::int64_t tokens = references * kPatches;
  DefectPatches patches;
  patches.features = torch::randn({3, tokens, kWidth}, random, at::kDouble);
  patches.residuals = torch::randn({3, tokens, kWidth}, random, at::kDouble);
  const auto order = torch::rand({3, tokens}, random).argsort(/*stable=*/true, 1);
  patches.mask = order < torch::tensor({1, 4, 7}).unsqueeze(1);
  patches.positions =
      masked_position_encoding(patches.mask.reshape({3, references, kRows, kColumns}), kWidth)
          .to(at::kDouble);
  return patches;
}

TEST(ResidualMining, PackedTokensGiveWhatAllGive) {
  auto mining = random_mining();
  for (const std::int64_t references : {1, 2}) {
    const auto all = all_tokens(references);
    const auto packed = pack_masked(all.mask);
    ASSERT_EQ(packed.index.size(1), 7);
    const auto pick = [&](const at::Tensor& tokens) {
      return tokens.gather(1, packed.index.unsqueeze(2).expand({-1, -1, kWidth}));
    };
    DefectPatches some = {pick(all.features), pick(all.residuals), pick(all.positions),
                          packed.mask};
    const auto expected = mining->forward(all);
    EXPECT_EQ(expected.sizes(), at::IntArrayRef({3, 5, kWidth}));
    EXPECT_LT(max_difference(mining->forward(some), expected), 1e-12);
    // The same without ever making the other tokens' positions.
    some.positions = masked_position_encoding(all.mask.reshape({3, references, kRows, kColumns}),
                                              kWidth, packed.index)
                         .to(at::kDouble);
    EXPECT_LT(max_difference(mining->forward(some), expected), 1e-12);
  }
}

TEST(ResidualMining, TokensThatAreMaskedOutChangeNothing) {
  auto mining = random_mining();
  const auto patches = all_tokens(2);
  const auto expected = mining->forward(patches);
  const auto without = patches.mask.logical_not().unsqueeze(2);
  auto other = patches;
  other.features = patches.features.masked_fill(without, 1e6);
  other.residuals = patches.residuals.masked_fill(without, -1e6);
  EXPECT_TRUE(mining->forward(other).equal(expected));
  // One that is masked in changes something.
  other = patches;
  other.residuals = at::where(without, patches.residuals, patches.residuals + 1);
  EXPECT_GT(max_difference(mining->forward(other), expected), 1e-3);
}

TEST(ResidualMining, OneMaskedTokenIsAllThatTheProxiesSee) {
  auto mining = random_mining();
  auto patches = all_tokens(1);
  const auto expected = mining->forward(patches)[0];  // of the episode with one token
  // With one token there is nothing to weigh, so its key does not matter; its value does.
  auto other = patches;
  other.features = 2 * patches.features;
  EXPECT_LT(max_difference(mining->forward(other)[0], expected), 1e-12);
  EXPECT_GT(max_difference(mining->forward(other)[2], mining->forward(patches)[2]), 1e-6);
}

TEST(ResidualMining, EpisodesOfABatchDoNotMix) {
  auto mining = random_mining();
  const auto patches = all_tokens(2);
  const auto together = mining->forward(patches);
  for (std::int64_t i = 0; i < 3; ++i) {
    const auto one = [i](const at::Tensor& tensor) { return tensor.slice(0, i, i + 1); };
    const auto alone = mining->forward(
        {one(patches.features), one(patches.residuals), one(patches.positions), one(patches.mask)});
    EXPECT_LT(max_difference(alone[0], together[i]), 1e-12) << i;
  }
}

}  // namespace
}  // namespace nagl
