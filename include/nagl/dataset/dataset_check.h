#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "nagl/dataset/dataset.h"
#include "nagl/image/image.h"

namespace nagl {

/// Something in a data set that a person should know of.
struct DatasetFinding {
  /// `broken picture`, `broken mask`, `missing mask`, `empty mask`, `mask of another size` (it
  /// still can be used if its proportions are the picture's), `duplicate` (the same bytes),
  /// `near copy` (the same shot, saved again), and the kinds of remarks on pictures and masks.
  std::string kind;
  std::filesystem::path path;
  std::string detail;
};

/// What one category holds.
struct CategoryCheck {
  std::string name;
  std::int64_t train = 0;
  std::map<std::string, std::int64_t> test;  ///< pictures by defect type, `good` too
  std::int64_t validation = 0;
  std::map<std::string, std::int64_t> unlabelled;     ///< pictures without truth, by split
  std::map<std::string, std::int64_t> picture_sizes;  ///< by `WxH`, of all
  std::vector<DatasetFinding> findings;

  std::int64_t count(const std::string& kind) const;
};

/// Reads every picture and mask of a data set.
/// @param progress told after each picture
/// @param stop asked after each picture; true ends the check, and what was seen so far is returned
std::vector<CategoryCheck> check_dataset(
    const Dataset& dataset, const DecodeOptions& decode,
    const std::function<void(std::int64_t done, std::int64_t total)>& progress = {},
    const std::function<bool()>& stop = {});

}  // namespace nagl
