#include "nn/neighbor_kernel.h"

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

class NeighborKernelTest : public ::testing::Test {
 protected:
  void SetUp() override {
    if (!has_block_product()) GTEST_SKIP() << "no block products on this processor";
    at::manual_seed(9);
  }
};

TEST_F(NeighborKernelTest, CosinesAreTimesTheQuerysNorm) {
  const auto query = torch::tensor({{2.0F, 0.0F}});
  const NeighborRows references(torch::tensor({{0.5F, 0.0F}, {3.0F, 4.0F}}));
  NearestNeighbors found;
  ASSERT_TRUE(block_neighbors(query, references, ResidualMetric::kDot, true, found));
  EXPECT_EQ(found.max_cosine.item<float>(), 2);  // of the first
  EXPECT_EQ(found.best.item<float>(), 6);        // of the second
  EXPECT_EQ(found.index.item<std::int64_t>(), 1);
  ASSERT_TRUE(block_neighbors(query, references, ResidualMetric::kCosine, true, found));
  EXPECT_EQ(found.best.item<float>(), 2);
  EXPECT_EQ(found.index.item<std::int64_t>(), 0);
}

TEST_F(NeighborKernelTest, EdgeSizesOnTwoThreadsEqualOperators) {
  const int threads = at::get_num_threads();
  at::set_num_threads(2);
  for (const std::int64_t width : {1, 3, 96}) {
    for (const std::int64_t count : {1, 15, 17, 255, 256, 257, 600}) {
      for (const std::int64_t total : {1, 2, 63, 64, 65, 129}) {
        const auto queries = torch::randn({count, width});
        const NeighborRows references(torch::randn({total, width}));
        const auto products = at::mm(queries, references.rows.t());
        NearestNeighbors found;
        ASSERT_TRUE(block_neighbors(queries, references, ResidualMetric::kDot, true, found));
        EXPECT_LT(max_difference(found.best, products.amax(1)), 1e-4);
        EXPECT_LT(max_difference(products.gather(1, found.index.unsqueeze(1)).squeeze(1),
                                 products.amax(1)),
                  1e-4);
        EXPECT_LT(max_difference(found.max_cosine, (products * references.inverse_norm).amax(1)),
                  1e-5);
      }
    }
  }
  at::set_num_threads(threads);
}

TEST_F(NeighborKernelTest, AQueryThatIsNotANumberSpoilsNoOther) {
  auto queries = torch::randn({20, 8});
  const NeighborRows references(torch::randn({70, 8}));
  const auto clean = max_cosine(queries, references);
  queries[3][7] = kNan;
  const auto found = max_cosine(queries, references);
  EXPECT_TRUE(found[3].isnan().item<bool>());
  EXPECT_TRUE(found.slice(0, 0, 3).equal(clean.slice(0, 0, 3)));
  EXPECT_TRUE(found.slice(0, 4).equal(clean.slice(0, 4)));
}

TEST_F(NeighborKernelTest, ReferencesThatAreNotFiniteAreLeftToOperators) {
  const auto queries = torch::randn({5, 8});
  for (const float value : {kNan, kInfinity, -kInfinity}) {
    auto rows = torch::randn({70, 8});
    rows[66][2] = value;
    const NeighborRows references(rows);
    NearestNeighbors found;
    EXPECT_FALSE(block_neighbors(queries, references, ResidualMetric::kDot, true, found));
    EXPECT_FALSE(found.max_cosine.defined());
    EXPECT_TRUE(max_cosine(queries, references).isnan().all().item<bool>());
  }
}

TEST_F(NeighborKernelTest, OtherTypesAreLeftToOperators) {
  const auto queries = torch::randn({5, 8});
  NearestNeighbors found;
  NeighborRows halved(torch::randn({7, 8}));
  halved.halves = halved.rows.to(at::kHalf);
  EXPECT_FALSE(block_neighbors(queries, halved, ResidualMetric::kDot, true, found));
  EXPECT_FALSE(block_neighbors(queries.to(at::kDouble),
                               NeighborRows(torch::randn({7, 8}, at::kDouble)),
                               ResidualMetric::kDot, true, found));
}

TEST_F(NeighborKernelTest, RefusesWhatDoesNotFit) {
  const auto queries = torch::ones({2, 4});
  const NeighborRows references(torch::ones({3, 4}));
  const auto refusal = [](const at::Tensor& of, const NeighborRows& among) {
    NearestNeighbors found;
    return message_of<std::invalid_argument>(
        [&] { block_neighbors(of, among, ResidualMetric::kDot, true, found); });
  };
  const std::string name = "nearest neighbours in blocks: ";
  EXPECT_EQ(refusal(torch::ones({4}), references), name + "queries not [Q, C] on the CPU");
  for (const auto& other : {NeighborRows(torch::ones({3, 5})), NeighborRows(),
                            NeighborRows(torch::ones({3, 4}, at::kDouble))}) {
    EXPECT_EQ(refusal(queries, other), name + "references not [R, C] as the queries");
  }
  auto torn = references;
  torn.inverse_norm = torch::ones({2});
  EXPECT_EQ(refusal(queries, torn), name + "not one norm a reference");
}

}  // namespace
}  // namespace nagl
