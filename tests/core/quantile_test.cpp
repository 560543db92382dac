#include "nagl/core/quantile.h"

#include "support.h"

namespace nagl {
namespace {

TEST(Quantile, ByHand) {
  const std::vector<double> values = {5, 1, 4, 2, 3};
  EXPECT_EQ(quantile(values, 0), 1);
  EXPECT_EQ(quantile(values, 0.25), 2);
  EXPECT_EQ(quantile(values, 0.6), 3);   // place 2.4
  EXPECT_EQ(quantile(values, 0.65), 4);  // place 2.6
  EXPECT_EQ(quantile(values, 1), 5);
  EXPECT_EQ(median(values), 3);
  EXPECT_EQ(median(std::vector<float>{4, 1, 3, 2}), 3);
  EXPECT_EQ(median(std::vector<double>{7}), 7);
}

}  // namespace
}  // namespace nagl
