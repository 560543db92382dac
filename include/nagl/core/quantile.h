#pragma once

#include <algorithm>
#include <cstddef>
#include <utility>
#include <vector>

namespace nagl {

/// The value below which a share of the values lies: of n sorted ones that at place `share (n -
/// 1)`, rounded to the nearest. @param values not empty @param share 0..1
template <typename T>
double quantile(std::vector<T> values, double share) {
  const double place = share * static_cast<double>(values.size() - 1);
  const auto found = values.begin() + static_cast<std::ptrdiff_t>(place + 0.5);
  std::nth_element(values.begin(), found, values.end());
  return static_cast<double>(*found);
}

/// The middle one; of an even number the upper one of the two in the middle.
template <typename T>
double median(std::vector<T> values) {
  return quantile(std::move(values), 0.5);
}

}  // namespace nagl
