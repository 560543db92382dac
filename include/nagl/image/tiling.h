#pragma once

#include <cstdint>
#include <opencv2/core/types.hpp>
#include <vector>

namespace nagl {

/// How large pictures are cut into tiles, each of which enters the network on its own.
struct TilingOptions {
  std::int64_t tile = 0;  ///< side of a tile in pixels of the picture, 14..16384; 0: no tiles
  double overlap =
      0.25;  ///< least share of its side that a tile has in common with the next, 0..0.9

  /// Throws ConfigError on a value out of range.
  void check() const;
  bool operator==(const TilingOptions&) const = default;

  template <typename Self, typename Visit>
  static void fields(Self& self, Visit&& visit) {
    visit("tile", self.tile);
    visit("overlap", self.overlap);
  }
};

/// How one side of a picture is cut: tiles of one length, spread evenly from end to end.
struct AxisTiles {
  int length = 0;           ///< of the side, in pixels
  int tile = 0;             ///< of a tile: the options' or, where that is less, the side's length
  std::vector<int> begins;  ///< first pixel of each tile
};

/// The tiles of a picture, row by row.
struct TileGrid {
  AxisTiles rows, columns;

  std::size_t count() const { return rows.begins.size() * columns.begins.size(); }
  cv::Rect at(std::size_t index) const;
};

/// Cuts a picture of that size; without tiling, its one tile is the picture.
TileGrid cut_into_tiles(cv::Size picture, const TilingOptions& options);

}  // namespace nagl
