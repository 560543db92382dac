#pragma once

#include <cstdint>
#include <optional>
#include <span>

namespace nagl {

/// Area under the ROC curve of `scores` (higher means more anomalous) against `labels` (0 normal,
/// anything else anomalous): the probability that an anomalous picture scores above a normal one,
/// ties counting one half (Mann-Whitney U). Exact, O(n log n).
///
/// @return a value in [0, 1], or nothing where one of the two classes is absent.
/// @throws std::invalid_argument if the lengths differ or a score is not a number.
std::optional<double> auroc(std::span<const double> scores, std::span<const std::uint8_t> labels);

}  // namespace nagl
