#include "nagl/image/tiling.h"

#include "nagl/core/error.h"
#include "support.h"

namespace nagl {
namespace {

TEST(Tiling, WithoutTilesThePictureIsTheTile) {
  const TileGrid grid = cut_into_tiles({70, 50}, {});
  ASSERT_EQ(grid.count(), 1U);
  EXPECT_EQ(grid.at(0), cv::Rect(0, 0, 70, 50));
}

TEST(Tiling, TilesAreSpreadFromEndToEnd) {
  // 100 pixels, tiles of 40 that share 10 at least: the spare 60 in two steps of 30.
  const TileGrid grid = cut_into_tiles({100, 40}, {40, 0.25});
  EXPECT_EQ(grid.columns.begins, (std::vector<int>{0, 30, 60}));
  EXPECT_EQ(grid.rows.begins, (std::vector<int>{0}));
  EXPECT_EQ(grid.at(2), cv::Rect(60, 0, 40, 40));
  // One pixel more takes a third step.
  EXPECT_EQ(cut_into_tiles({101, 40}, {40, 0.25}).columns.begins,
            (std::vector<int>{0, 20, 41, 61}));
  // A side that is shorter than a tile has one of its own length.
  const TileGrid narrow = cut_into_tiles({100, 20}, {40, 0});
  EXPECT_EQ(narrow.columns.begins, (std::vector<int>{0, 30, 60}));
  EXPECT_EQ(narrow.at(1), cv::Rect(30, 0, 40, 20));
}

TEST(Tiling, EveryPixelIsCoveredAndNeighboursOverlap) {
  for (const int length : {448, 449, 1000, 1999, 8000}) {
    const AxisTiles axis = cut_into_tiles({length, 1}, {448, 0.25}).columns;
    EXPECT_EQ(axis.begins.front(), 0);
    EXPECT_EQ(axis.begins.back() + axis.tile, length);
    for (std::size_t i = 1; i < axis.begins.size(); ++i) {
      EXPECT_LE(axis.begins[i] - axis.begins[i - 1], 448 * 3 / 4 + 1) << length;
    }
  }
}

TEST(Tiling, OptionsAreChecked) {
  EXPECT_THROW((TilingOptions{13, 0.25}.check()), ConfigError);
  EXPECT_THROW((TilingOptions{448, 0.95}.check()), ConfigError);
  EXPECT_THROW((TilingOptions{448, -0.1}.check()), ConfigError);
  EXPECT_NO_THROW((TilingOptions{448, 0}.check()));
}

}  // namespace
}  // namespace nagl
