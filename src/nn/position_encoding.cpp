#include "nagl/nn/position_encoding.h"

#include <cmath>
#include <numbers>
#include <stdexcept>

namespace nagl {
namespace {

constexpr double kTemperature = 10000.0;
constexpr double kEpsilon = 1e-6;

/// Encodes places along one axis: [places] in 0..2 pi to [places, features], sine and cosine in
/// turn.
at::Tensor encode(const at::Tensor& places, std::int64_t features) {
  const auto pair = torch::arange(features / 2, places.options());
  const auto period = at::pow(kTemperature, pair * (2.0 / static_cast<double>(features)));
  const auto angle = places.unsqueeze(1) / period;
  return at::stack({angle.sin(), angle.cos()}, 2).flatten(1);
}

/// The encoding of count a out of b, for every 0 <= a, b <= length: [(length + 1)^2, features], at
/// row a * (length + 1) + b. All that a masked axis can need, in less time than one grid takes.
at::Tensor encode_counts(std::int64_t length, std::int64_t features, at::Device device) {
  const auto counts =
      torch::arange(length + 1, at::TensorOptions().dtype(at::kFloat).device(device));
  const auto places =
      counts.unsqueeze(1) / (counts + kEpsilon).unsqueeze(0) * (2 * std::numbers::pi);
  return encode(places.flatten(), features);
}

/// Rows of `encode_counts` for the cells of a mask along one axis: [B, K, rows, columns] int64.
at::Tensor count_rows(const at::Tensor& counted, std::int64_t axis) {
  const std::int64_t length = counted.size(axis);
  const auto count = counted.cumsum(axis, at::kLong);
  return count * (length + 1) + count.slice(axis, length - 1);
}

void check_width(std::int64_t width) {
  if (width < 4 || width % 4 != 0) {
    throw std::invalid_argument("position encoding: the width must be a multiple of 4");
  }
}

}  // namespace

at::Tensor position_encoding(PatchGrid grid, std::int64_t width) {
  check_width(width);
  const auto axis = [width](std::int64_t length) {
    const auto counts = torch::arange(1, length + 1, at::kFloat);
    return encode(counts / (static_cast<double>(length) + kEpsilon) * (2 * std::numbers::pi),
                  width / 2);
  };
  const auto y = axis(grid.rows).unsqueeze(1).expand({grid.rows, grid.columns, width / 2});
  const auto x = axis(grid.columns).unsqueeze(0).expand({grid.rows, grid.columns, width / 2});
  return at::cat({y, x}, 2).reshape({grid.size(), width});
}

at::Tensor masked_position_encoding(const at::Tensor& mask, std::int64_t width,
                                    const at::Tensor& tokens) {
  check_width(width);
  const std::int64_t batch = mask.size(0);
  const auto counted = mask.logical_not();
  const auto axis = [&](std::int64_t dimension) {
    auto rows = count_rows(counted, dimension).reshape({batch, -1});
    if (tokens.defined()) rows = rows.gather(1, tokens);
    const auto table = encode_counts(mask.size(dimension), width / 2, mask.device());
    return table.index_select(0, rows.flatten()).reshape({batch, -1, width / 2});
  };
  return at::cat({axis(2), axis(3)}, 2);
}

}  // namespace nagl
