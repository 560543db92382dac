#include "nagl/nn/coreset.h"

#include "tensors.h"

namespace nagl {
namespace {

const at::Tensor kNothing = torch::zeros({0, 2});

std::vector<std::int64_t> chosen(const at::Tensor& rows, const at::Tensor& present,
                                 std::int64_t count) {
  const auto index = choose_coreset(rows, present, count).rows;
  return {index.data_ptr<std::int64_t>(), index.data_ptr<std::int64_t>() + index.numel()};
}

TEST(Coreset, TakesTheRowLeastLikeAllThereIsByHand) {
  // Angles 0, 10, 80, 180 degrees; lengths do not count.
  const double degree = 3.14159265358979 / 180;
  std::vector<at::Tensor> rows;
  for (const double angle : {0.0, 10.0, 80.0, 180.0}) {
    rows.push_back(
        torch::tensor({3 * std::cos(angle * degree), 3 * std::sin(angle * degree)}, at::kFloat));
  }
  const auto all = at::stack(rows);
  // Going on from 0 degrees: 180, then 80 (80 from 0, 100 from 180), then 10.
  EXPECT_EQ(chosen(all, torch::tensor({{1.0F, 0.0F}}), 3), (std::vector<std::int64_t>{3, 2, 1}));
  // From nothing: 180 is least like the mean, at 45 degrees; from there 0 is farthest, then 80.
  EXPECT_EQ(chosen(all, kNothing, 3), (std::vector<std::int64_t>{3, 0, 2}));
  EXPECT_EQ(chosen(all, kNothing, 4), (std::vector<std::int64_t>{3, 0, 2, 1}));
}

TEST(Coreset, SaysHowUnlikeTheOthersEachWas) {
  const auto rows = torch::tensor({{1.0F, 0.0F}, {0.0F, 2.0F}, {-3.0F, 0.0F}});
  // Beside (1, 0): the opposite first (1 - cosine 2), then the one between them (1), then itself.
  const auto choice = choose_coreset(rows, torch::tensor({{5.0F, 0.0F}}), 3);
  EXPECT_TRUE(choice.rows.equal(torch::tensor({2, 1, 0})));
  EXPECT_TRUE(choice.novelty.equal(torch::tensor({2.0F, 1.0F, 0.0F})));
  // Beside nothing the first has no other.
  EXPECT_EQ(choose_coreset(rows, kNothing, 1).novelty.item<float>(), 2);
}

TEST(Coreset, NoRowIsTakenTwiceEvenOfEqualOnes) {
  const auto same = torch::ones({5, 3});
  auto index = chosen(same, torch::zeros({0, 3}), 5);
  std::sort(index.begin(), index.end());
  EXPECT_EQ(index, (std::vector<std::int64_t>{0, 1, 2, 3, 4}));
  EXPECT_THROW(choose_coreset(same, torch::zeros({0, 3}), 6), std::invalid_argument);
  EXPECT_THROW(choose_coreset(same, torch::zeros({0, 3}), 0), std::invalid_argument);
}

TEST(Coreset, CoversBetterThanChance) {
  at::manual_seed(2);
  const auto rows = torch::randn({400, 8});
  const auto unit = rows / rows.norm(2, 1, true);
  const auto worst = [&](const at::Tensor& index) {  // cosine of the row that is covered worst
    return at::mm(unit, unit.index_select(0, index).t()).amax(1).min().item<double>();
  };
  const double greedy = worst(choose_coreset(rows, torch::zeros({0, 8}), 40).rows);
  for (int i = 0; i < 5; ++i) EXPECT_GT(greedy, worst(torch::randperm(400).slice(0, 0, 40)));
}

}  // namespace
}  // namespace nagl
