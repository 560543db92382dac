#include "nagl/core/random.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <set>

namespace nagl {
namespace {

TEST(Random, IsAFunctionOfItsKey) {
  Random a(1, 2, 3, 4), b(1, 2, 3, 4);
  for (int i = 0; i < 100; ++i) EXPECT_EQ(a.next(), b.next());
  std::set<std::uint64_t> firsts;
  for (std::uint64_t i = 0; i < 3; ++i) {
    firsts.insert(Random(i, 0, 0, 0).next());
    firsts.insert(Random(0, i, 0, 0).next());
    firsts.insert(Random(0, 0, i, 0).next());
    firsts.insert(Random(0, 0, 0, i).next());
  }
  EXPECT_EQ(firsts.size(), 9U);  // four times the key (0, 0, 0, 0), and eight others
}

TEST(Random, NeverChangesItsSequence) {
  // Stored episodes and synthetic pictures rest on these values.
  EXPECT_EQ(Random(1, 2, 3, 4).next(), 17746460552327262811ULL);
  EXPECT_EQ(Random(42).next(), 14682575489612188334ULL);
}

TEST(Random, IntegersAreUniform) {
  Random random(5);
  std::array<int, 7> counts{};
  for (int i = 0; i < 70000; ++i) ++counts[static_cast<std::size_t>(random.integer(7))];
  for (const int count : counts) EXPECT_NEAR(count, 10000, 400);  // over four standard deviations
  EXPECT_THROW(random.integer(0), std::invalid_argument);
}

TEST(Random, NormalHasMeanZeroAndVarianceOne) {
  Random random(6);
  double sum = 0, squares = 0;
  const int n = 100000;
  for (int i = 0; i < n; ++i) {
    const double x = random.normal();
    sum += x;
    squares += x * x;
  }
  EXPECT_NEAR(sum / n, 0, 0.02);
  EXPECT_NEAR(squares / n, 1, 0.03);
}

TEST(Random, ChoosesDistinctValues) {
  Random random(8);
  const auto some = random.choose(10, 4);
  EXPECT_EQ(std::set<std::int64_t>(some.begin(), some.end()).size(), 4U);
  auto all = random.choose(10, 10);
  std::sort(all.begin(), all.end());
  for (std::int64_t i = 0; i < 10; ++i) EXPECT_EQ(all[static_cast<std::size_t>(i)], i);
  EXPECT_THROW(random.choose(3, 4), std::invalid_argument);
}

TEST(Random, ChoosesMembersAsItChoosesPlaces) {
  const std::vector<int> from = {10, 20, 30, 40};
  const auto members = Random(3).choose_of(from, 3);
  const auto places = Random(3).choose(4, 3);
  ASSERT_EQ(members.size(), 3U);
  for (std::size_t i = 0; i < 3; ++i) {
    EXPECT_EQ(members[i], from[static_cast<std::size_t>(places[i])]);
  }
  EXPECT_THROW(Random(3).choose_of(from, 5), std::invalid_argument);
}

}  // namespace
}  // namespace nagl
