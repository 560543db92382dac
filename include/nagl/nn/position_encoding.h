#pragma once

#include <cstdint>

#include "nagl/core/torch.h"

namespace nagl {

/// Patches of a picture, row by row.
struct PatchGrid {
  std::int64_t rows = 32;
  std::int64_t columns = 32;

  std::int64_t size() const { return rows * columns; }
  bool operator==(const PatchGrid&) const = default;
};

/// The sine position encoding of DETR (Carion et al., 2020) in the form of docs/design.md, 3.10:
/// half of the channels for y, half for x; a cell's y is the number of cells from the top down to
/// and including itself, divided by that of the whole column + 1e-6, times 2 pi; x likewise.
///
/// @param width channels C, a multiple of 4
/// @return [grid.size(), C] float32
/// @throws std::invalid_argument on another width
at::Tensor position_encoding(PatchGrid grid, std::int64_t width);

/// The same where some cells do not count: those that `mask` marks (the published code's convention
/// for RM, whose mask marks the defect). Each reference has a grid of its own.
///
/// @param mask [B, K, rows, columns] bool
/// @param tokens [B, P] int64, which of the K * rows * columns tokens to encode; undefined: all
/// @return [B, P, C] float32
at::Tensor masked_position_encoding(const at::Tensor& mask, std::int64_t width,
                                    const at::Tensor& tokens = {});

}  // namespace nagl
