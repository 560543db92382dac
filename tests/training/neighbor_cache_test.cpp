#include "nagl/training/neighbor_cache.h"

#include <atomic>
#include <thread>

#include "nagl/core/random.h"
#include "tensors.h"

namespace nagl {
namespace {

constexpr std::int64_t kPatches = 5;
constexpr std::uint64_t kPairBytes = kPatches * 12;  // two floats and a 32-bit index

/// Neighbours that tell which pair they are of.
NearestNeighbors neighbors_of(std::int64_t query, std::int64_t reference) {
  const auto random = at::make_generator<at::CPUGeneratorImpl>(
      static_cast<std::uint64_t>(query * 1000 + reference));
  return {torch::rand({kPatches}, random), torch::randn({kPatches}, random),
          torch::randint(0, 1024, {kPatches}, random, at::kLong)};
}

void expect_same(const NearestNeighbors& found, const NearestNeighbors& expected) {
  EXPECT_TRUE(found.max_cosine.equal(expected.max_cosine));
  EXPECT_TRUE(found.best.equal(expected.best));
  EXPECT_EQ(found.index.scalar_type(), at::kLong);
  EXPECT_TRUE(found.index.equal(expected.index));
}

/// Asks for a pair; true if it was computed.
bool computed(NeighborCache& cache, std::int64_t query, std::int64_t reference) {
  bool called = false;
  const auto found = cache.get(query, reference, [&] {
    called = true;
    return neighbors_of(query, reference);
  });
  expect_same(found, neighbors_of(query, reference));
  return called;
}

TEST(NeighborCache, GivesBackWhatWasComputed) {
  NeighborCache cache(10 * kPairBytes, kPatches, at::kCPU);
  EXPECT_EQ(cache.capacity(), 10);
  EXPECT_TRUE(computed(cache, 1, 2));
  EXPECT_TRUE(computed(cache, 2, 1));  // the other way round is another pair
  EXPECT_FALSE(computed(cache, 1, 2));
  EXPECT_FALSE(computed(cache, 2, 1));
  EXPECT_EQ(cache.hits(), 2U);
  EXPECT_EQ(cache.misses(), 2U);
}

TEST(NeighborCache, WhatItGivesMayBeWrittenTo) {
  NeighborCache cache(10 * kPairBytes, kPatches, at::kCPU);
  for (int i = 0; i < 2; ++i) {
    const auto found = cache.get(3, 4, [] { return neighbors_of(3, 4); });
    found.max_cosine.zero_();
    found.best.zero_();
    found.index.zero_();
  }
  EXPECT_FALSE(computed(cache, 3, 4));
}

TEST(NeighborCache, TheLeastRecentlyUsedGoes) {
  NeighborCache cache(2 * kPairBytes + kPairBytes - 1, kPatches, at::kCPU);
  ASSERT_EQ(cache.capacity(), 2);
  EXPECT_TRUE(computed(cache, 0, 1));
  EXPECT_TRUE(computed(cache, 0, 2));
  EXPECT_FALSE(computed(cache, 0, 1));  // now 2 is the older
  EXPECT_TRUE(computed(cache, 0, 3));
  EXPECT_FALSE(computed(cache, 0, 1));
  EXPECT_FALSE(computed(cache, 0, 3));
  EXPECT_TRUE(computed(cache, 0, 2));  // takes the place of 1
  EXPECT_FALSE(computed(cache, 0, 3));
  EXPECT_TRUE(computed(cache, 0, 1));
}

TEST(NeighborCache, WithoutRoomKeepsNothing) {
  for (const std::uint64_t bytes : {std::uint64_t{0}, kPairBytes - 1}) {
    NeighborCache cache(bytes, kPatches, at::kCPU);
    EXPECT_EQ(cache.capacity(), 0);
    EXPECT_TRUE(computed(cache, 1, 1));
    EXPECT_TRUE(computed(cache, 1, 1));
    EXPECT_EQ(cache.hits(), 0U);
  }
}

TEST(NeighborCache, SeveralThreadsMayUseIt) {
  constexpr std::uint64_t kGets = 3000;
  NeighborCache cache(7 * kPairBytes, kPatches, at::kCPU);
  std::vector<std::vector<NearestNeighbors>> expected(4);
  for (std::int64_t query = 0; query < 4; ++query) {
    for (std::int64_t reference = 0; reference < 4; ++reference) {
      expected[static_cast<std::size_t>(query)].push_back(neighbors_of(query, reference));
    }
  }
  std::atomic<int> wrong{0};
  const auto work = [&](std::uint64_t seed) {
    Random random(seed);
    for (std::uint64_t i = 0; i < kGets; ++i) {
      const auto query = random.integer(4), reference = random.integer(4);
      const auto& right =
          expected[static_cast<std::size_t>(query)][static_cast<std::size_t>(reference)];
      const auto found = cache.get(query, reference, [&] { return right; });
      const bool same = found.max_cosine.equal(right.max_cosine) && found.best.equal(right.best) &&
                        found.index.equal(right.index);
      if (!same) ++wrong;
    }
  };
  std::thread other(work, 1);
  work(2);
  other.join();
  EXPECT_EQ(wrong, 0);
  EXPECT_EQ(cache.hits() + cache.misses(), 2 * kGets);
  EXPECT_GT(cache.hits(), kGets / 2);  // 7 of 16 pairs fit
}

}  // namespace
}  // namespace nagl
