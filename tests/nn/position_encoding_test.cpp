#include "nagl/nn/position_encoding.h"

#include <cmath>
#include <numbers>

#include "tensors.h"

namespace nagl {
namespace {

using testing::max_difference;

constexpr double kTurn = 2 * std::numbers::pi;

/// The two features of one axis in an encoding of width 4.
std::vector<double> pair_of(double place) { return {std::sin(place), std::cos(place)}; }

/// Token by token (y, x), each as a share of a turn, in width 4.
at::Tensor encoding_of(std::vector<std::pair<double, double>> places) {
  std::vector<at::Tensor> rows;
  for (const auto& [y, x] : places) {
    rows.push_back(at::cat({torch::tensor(pair_of(kTurn * y)), torch::tensor(pair_of(kTurn * x))}));
  }
  return at::stack(rows);
}

at::Tensor mask_of(std::vector<std::int64_t> values, at::IntArrayRef shape) {
  return torch::tensor(values).to(at::kBool).reshape(shape);
}

TEST(PositionEncoding, TwoRowsOfThreeByHand) {
  // Row by row; y is 1/2 or 1 of a turn, x is 1/3, 2/3 or 1.
  const auto expected = encoding_of(
      {{1.0 / 2, 1.0 / 3}, {1.0 / 2, 2.0 / 3}, {1.0 / 2, 1}, {1, 1.0 / 3}, {1, 2.0 / 3}, {1, 1}});
  const auto found = position_encoding({2, 3}, 4);
  EXPECT_EQ(found.sizes(), at::IntArrayRef({6, 4}));
  EXPECT_LT(max_difference(found, expected), 1e-5);
  EXPECT_NEAR(found[0][0].item<float>(), 0, 1e-5);                   // sin of half a turn
  EXPECT_NEAR(found[0][1].item<float>(), -1, 1e-5);                  // cos of half a turn
  EXPECT_NEAR(found[0][2].item<float>(), std::sqrt(3.0) / 2, 1e-5);  // sin of 120 degrees
  EXPECT_NEAR(found[0][3].item<float>(), -0.5, 1e-5);                // cos of 120 degrees
}

TEST(PositionEncoding, FrequenciesFallByPairs) {
  // Width 8 has four features an axis: the second pair is 10000^(2/4) = 100 times slower.
  const auto found = position_encoding({1, 4}, 8);
  for (std::int64_t column = 0; column < 4; ++column) {
    const double y = kTurn, x = kTurn * static_cast<double>(column + 1) / 4;
    const auto expected =
        torch::tensor({std::sin(y), std::cos(y), std::sin(y / 100), std::cos(y / 100), std::sin(x),
                       std::cos(x), std::sin(x / 100), std::cos(x / 100)});
    EXPECT_LT(max_difference(found[column], expected), 1e-5) << column;
  }
}

TEST(MaskedPositionEncoding, MarkedCellsDoNotCount) {
  // x x .     columns: how many of the cells down to here are not marked, of all in the column
  // . x .     (0, 1 of 1; 0, 0 of 0; 1, 2 of 2); rows: likewise (0, 0, 1 of 1; 1, 1, 2 of 2).
  const auto mask = mask_of({1, 1, 0, 0, 1, 0}, {1, 1, 2, 3});
  const auto expected =
      encoding_of({{0, 0}, {0, 0}, {1.0 / 2, 1}, {1, 1.0 / 2}, {0, 1.0 / 2}, {1, 1}});
  const auto found = masked_position_encoding(mask, 4);
  EXPECT_EQ(found.sizes(), at::IntArrayRef({1, 6, 4}));
  EXPECT_LT(max_difference(found[0], expected), 1e-5);
}

TEST(MaskedPositionEncoding, WithoutMarksIsTheOther) {
  for (const PatchGrid grid : {PatchGrid{2, 3}, PatchGrid{5, 1}, PatchGrid{32, 20}}) {
    const auto mask = at::zeros({2, 1, grid.rows, grid.columns}, at::kBool);
    const auto found = masked_position_encoding(mask, 16);
    const auto expected = position_encoding(grid, 16);
    EXPECT_LT(max_difference(found[0], expected), 1e-5);
    EXPECT_LT(max_difference(found[1], expected), 1e-5);
  }
}

TEST(MaskedPositionEncoding, EachReferenceHasAGridOfItsOwn) {
  const auto random = at::make_generator<at::CPUGeneratorImpl>(1);
  const auto masks = torch::rand({3, 2, 4, 5}, random).lt(0.4);
  const auto together = masked_position_encoding(masks, 8);
  ASSERT_EQ(together.sizes(), at::IntArrayRef({3, 2 * 20, 8}));
  for (std::int64_t sample = 0; sample < 3; ++sample) {
    for (std::int64_t reference = 0; reference < 2; ++reference) {
      const auto alone =
          masked_position_encoding(masks[sample][reference].reshape({1, 1, 4, 5}), 8)[0];
      EXPECT_TRUE(together[sample].slice(0, 20 * reference, 20 * (reference + 1)).equal(alone));
    }
  }
}

TEST(MaskedPositionEncoding, TokensPickRows) {
  const auto random = at::make_generator<at::CPUGeneratorImpl>(2);
  const auto masks = torch::rand({2, 2, 3, 4}, random).lt(0.3);
  const auto tokens = torch::tensor({0, 23, 7, 12, 12, 5}, at::kLong).reshape({2, 3});
  const auto all = masked_position_encoding(masks, 8);
  const auto some = masked_position_encoding(masks, 8, tokens);
  ASSERT_EQ(some.sizes(), at::IntArrayRef({2, 3, 8}));
  for (std::int64_t sample = 0; sample < 2; ++sample) {
    EXPECT_TRUE(some[sample].equal(all[sample].index_select(0, tokens[sample])));
  }
}

TEST(PositionEncoding, RefusesAWidthThatIsNoMultipleOfFour) {
  const auto mask = at::zeros({1, 1, 2, 2}, at::kBool);
  for (const std::int64_t width : {-4, 0, 2, 6, 9}) {
    EXPECT_THROW(position_encoding({2, 2}, width), std::invalid_argument) << width;
    EXPECT_THROW(masked_position_encoding(mask, width), std::invalid_argument) << width;
  }
}

}  // namespace
}  // namespace nagl
