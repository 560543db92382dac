#include "nagl/nn/nearest_neighbor.h"

#include <cmath>

#include "tensors.h"

namespace nagl {
namespace {

using testing::max_difference;

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
  const auto seed = torch::make_generator<at::CPUGeneratorImpl>(3);
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

TEST(NearestNeighbor, ZeroVectorsAndNoReferences) {
  const NeighborRows references(rows({{0, 0}, {1, 0}}));
  EXPECT_EQ(max_cosine(rows({{0, 0}}), references).item<float>(), 0);
  EXPECT_THROW(max_cosine(rows({{1, 0}}), NeighborRows()), std::invalid_argument);
}

TEST(NearestNeighbor, golden) {
  NAGL_NEEDS_TEST_DATA(data);
  const WeightsFile colour(data / "golden/episode_colour.safetensors");
  const NeighborRows normal(colour.read("normal_features"));
  const auto query = colour.read("query_features");
  EXPECT_LT(max_difference(residuals(query, normal), colour.read("query_residuals")), 1e-4);
  EXPECT_LT(max_difference(residuals(colour.read("abnormal_features"), normal),
                           colour.read("abnormal_residuals")),
            1e-4);
  EXPECT_LT(max_difference((1 + max_cosine(query, normal)) / 2, colour.read("s_n").flatten()),
            1e-5);
}

}  // namespace
}  // namespace nagl
