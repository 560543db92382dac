#include "nagl/image/tiling.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "nagl/core/error.h"

namespace nagl {
namespace {

constexpr std::int64_t kSmallestTile = 14, kLargestTile = 16384;

AxisTiles cut_axis(int length, const TilingOptions& options) {
  AxisTiles axis;
  axis.length = length;
  axis.tile = options.tile == 0 ? length : std::min(length, static_cast<int>(options.tile));
  const int spare = length - axis.tile;
  const int stride = std::max(1, static_cast<int>(axis.tile * (1 - options.overlap)));
  const int steps = (spare + stride - 1) / stride;
  for (int i = 0; i <= steps; ++i) {
    axis.begins.push_back(
        steps == 0 ? 0 : static_cast<int>(std::lround(static_cast<double>(i) * spare / steps)));
  }
  return axis;
}

}  // namespace

void TilingOptions::check() const {
  if (tile != 0 && (tile < kSmallestTile || tile > kLargestTile)) {
    throw ConfigError(
        fmt::format("tile {} is not 0 (no tiles) or in {}..{}", tile, kSmallestTile, kLargestTile));
  }
  if (!(overlap >= 0 && overlap <= 0.9)) {
    throw ConfigError(fmt::format("overlap {} is not in 0..0.9", overlap));
  }
}

cv::Rect TileGrid::at(std::size_t index) const {
  const std::size_t row = index / columns.begins.size(), column = index % columns.begins.size();
  return {columns.begins.at(column), rows.begins.at(row), columns.tile, rows.tile};
}

TileGrid cut_into_tiles(cv::Size picture, const TilingOptions& options) {
  return {cut_axis(picture.height, options), cut_axis(picture.width, options)};
}

}  // namespace nagl
