#include "nagl/nn/nearest_neighbor.h"

#include <cmath>

#include "tensors.h"

namespace nagl {
namespace {

using testing::expect_same_residuals;
using testing::max_difference;
using testing::relative_difference;

at::Tensor rows(std::vector<std::vector<float>> values) {
  std::vector<at::Tensor> stacked;
  for (const auto& row : values) stacked.push_back(torch::tensor(row));
  return at::stack(stacked);
}

TEST(NearestNeighbor, CosineAndDotProductChooseDifferently) {
  // The short reference points the query's way, the long one is at 45 degrees.
  const auto query = rows({{2, 0}});
  const NeighborRows references(rows({{0.5, 0}, {10, 10}, {0, -3}}));
  const auto found = nearest_neighbors(query, references);
  EXPECT_NEAR(found.max_cosine.item<float>(), 1.0, 1e-6);
  EXPECT_EQ(found.index.item<std::int64_t>(), 1);  // dot products 1, 20, 0
  EXPECT_EQ(max_difference(residuals(query, references), rows({{-8, -10}})), 0);
  EXPECT_NEAR(max_cosine(query, NeighborRows(rows({{10, 10}}))).item<float>(), std::sqrt(0.5),
              1e-6);
}

TEST(NearestNeighbor, BlocksDoNotChangeTheAnswer) {
  const auto seed = at::make_generator<at::CPUGeneratorImpl>(3);
  const auto queries = torch::randn({17, 8}, seed);
  const NeighborRows references(torch::randn({101, 8}, seed));
  const auto whole = nearest_neighbors(queries, references, ResidualMetric::kDot, 1000);
  const auto exact = at::mm(at::div(queries, queries.norm(2, 1, true)),
                            at::div(references.rows, references.rows.norm(2, 1, true)).t())
                         .amax(1);
  EXPECT_LT(max_difference(whole.max_cosine, exact), 1e-6);
  EXPECT_TRUE(whole.index.equal(at::mm(queries, references.rows.t()).argmax(1)));
  for (const std::int64_t block : {1, 7, 50, 101}) {
    const auto parts = nearest_neighbors(queries, references, ResidualMetric::kDot, block);
    EXPECT_LT(max_difference(parts.max_cosine, whole.max_cosine), 1e-6) << block;
    EXPECT_TRUE(parts.index.equal(whole.index)) << block;
    EXPECT_LT(max_difference(max_cosine(queries, references, block), whole.max_cosine), 1e-6);
  }
}

// float32 is looked through block by block in cache, double by whole products.
TEST(NearestNeighbor, BothWaysAgree) {
  const auto seed = at::make_generator<at::CPUGeneratorImpl>(4);
  for (const auto& [count, total] : {std::pair{1, 1}, {255, 64}, {257, 1000}, {600, 65}}) {
    const auto queries = torch::randn({count, 96}, seed);
    const NeighborRows references(torch::randn({total, 96}, seed));
    const auto wide = queries.to(at::kDouble);
    const NeighborRows wide_references(references.rows.to(at::kDouble));
    for (const auto metric : {ResidualMetric::kDot, ResidualMetric::kCosine}) {
      const auto found = nearest_neighbors(queries, references, metric);
      const auto expected = nearest_neighbors(wide, wide_references, metric, 100);
      EXPECT_LT(max_difference(found.max_cosine, expected.max_cosine), 1e-6);
      EXPECT_LT(relative_difference(found.best, expected.best), 1e-5);
      EXPECT_TRUE(found.index.equal(expected.index)) << count << " " << total;
    }
    EXPECT_LT(max_difference(max_cosine(queries, references), max_cosine(wide, wide_references)),
              1e-6);
  }
}

TEST(NearestNeighbor, TheFirstOfEqualsIsTaken) {
  const auto row = torch::ones({1, 8});
  const NeighborRows references(row.expand({200, 8}));
  const auto found = nearest_neighbors(row.expand({40, 8}), references);
  EXPECT_EQ(found.index.max().item<std::int64_t>(), 0);
}

TEST(NearestNeighbor, ZeroVectorsAndNoReferences) {
  const NeighborRows references(rows({{0, 0}, {1, 0}}));
  EXPECT_EQ(max_cosine(rows({{0, 0}}), references).item<float>(), 0);
  EXPECT_THROW(max_cosine(rows({{1, 0}}), NeighborRows()), std::invalid_argument);
  EXPECT_THROW(max_cosine(rows({{1, 0, 0}}), references), std::invalid_argument);
}

TEST(NearestNeighbor, golden) {
  NAGL_NEEDS_TEST_DATA(data);
  const WeightsFile colour(data / "golden/episode_colour.safetensors");
  const NeighborRows normal(colour.read("normal_features"));
  const auto query = colour.read("query_features");
  const auto abnormal = colour.read("abnormal_features");
  expect_same_residuals(query, residuals(query, normal), colour.read("query_residuals"));
  expect_same_residuals(abnormal, residuals(abnormal, normal), colour.read("abnormal_residuals"));
  EXPECT_LT(max_difference((1 + max_cosine(query, normal)) / 2, colour.read("s_n").flatten()),
            1e-5);
}

}  // namespace
}  // namespace nagl
