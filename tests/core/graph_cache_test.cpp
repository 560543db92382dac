// The bookkeeping of recorded passes, with a device that only says that it records.

#include <gtest/gtest.h>

#include "nagl/core/device_graph.h"

namespace nagl {
namespace {

struct Tape : DeviceGraph {
  explicit Tape(DeviceFunction recorded) : function(std::move(recorded)) {}
  at::Tensor replay(const at::Tensor& input) override { return function(input); }

  DeviceFunction function;
};

class GraphCacheTest : public ::testing::Test {
 protected:
  GraphCache cache(bool works = true) {
    return GraphCache([this, works](const at::Tensor&, const DeviceFunction& function) {
      ++recordings_;
      if (!works) throw GraphError("no memory");
      return std::make_unique<Tape>(function);
    });
  }

  void expect(const GraphCache& cache, std::int64_t recorded, std::int64_t replayed,
              std::int64_t failed) const {
    EXPECT_EQ(cache.counts().recorded, recorded);
    EXPECT_EQ(cache.counts().replayed, replayed);
    EXPECT_EQ(cache.counts().failed, failed);
  }

  int recordings_ = 0;
  const DeviceFunction twice_ = [](const at::Tensor& input) { return input * 2; };
};

TEST_F(GraphCacheTest, AShapeIsRecordedWhenItComesBack) {
  auto graphs = cache();
  const auto input = torch::arange(6);
  for (int i = 0; i < 4; ++i) EXPECT_TRUE(graphs.run(input, twice_).equal(input * 2)) << i;
  expect(graphs, 1, 3, 0);
  graphs.run(input.reshape({2, 3}), twice_);  // another shape, once
  expect(graphs, 1, 3, 0);
  EXPECT_EQ(recordings_, 1);
}

TEST_F(GraphCacheTest, ThereAreFourAtMost) {
  auto graphs = cache();
  for (int round = 0; round < 3; ++round) {
    for (std::int64_t size = 1; size <= 6; ++size) graphs.run(torch::arange(size), twice_);
  }
  expect(graphs, 4, 8, 0);
}

TEST_F(GraphCacheTest, AFailureIsCountedAndNotTriedAgain) {
  auto graphs = cache(/*works=*/false);
  const auto input = torch::arange(6);
  for (int i = 0; i < 4; ++i) EXPECT_TRUE(graphs.run(input, twice_).equal(input * 2)) << i;
  expect(graphs, 0, 0, 1);
  EXPECT_EQ(recordings_, 1);
}

TEST_F(GraphCacheTest, AFunctionThatFailsIsNoReasonToRecord) {
  auto graphs = cache();
  const auto fails = [](const at::Tensor&) -> at::Tensor { throw std::runtime_error("no"); };
  for (int i = 0; i < 3; ++i) EXPECT_THROW(graphs.run(torch::arange(2), fails), std::runtime_error);
  EXPECT_EQ(recordings_, 0);
}

}  // namespace
}  // namespace nagl
