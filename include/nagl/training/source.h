#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "nagl/core/enum_names.h"

namespace nagl {

/// One picture of the domain that is trained on.
struct SourcePicture {
  std::string category;
  std::string defect;  ///< defect type; empty for a good picture
  std::filesystem::path path;
  std::vector<std::filesystem::path> masks;  ///< of the defect

  bool anomalous() const { return !defect.empty(); }
};

/// The pictures of one category that episodes are made of, by their index in the source.
struct CategoryPictures {
  std::string name;
  std::vector<std::int64_t> good;
  struct Defect {
    std::string type;
    std::vector<std::int64_t> pictures;
  };
  std::vector<Defect> defects;  ///< sorted by type
};

/// Sorts the pictures at `indices` by category and defect type, in the order of their names.
std::vector<CategoryPictures> group_pictures(const std::vector<SourcePicture>& pictures,
                                             const std::vector<std::int64_t>& indices);

/// What is held out of the source to choose the best epoch by. Never the target.
enum class HoldOut {
  kAuto,      ///< a category of three or more, else pictures
  kCategory,  ///< one category
  kPictures,  ///< a third of the good pictures and of those of each defect type
  kNone,      ///< nothing: there is no validation, and the last epoch is the result
};
constexpr auto names_of(HoldOut) {
  return EnumNames<HoldOut, 4>{"hold-out",
                               {{{HoldOut::kAuto, "auto"},
                                 {HoldOut::kCategory, "category"},
                                 {HoldOut::kPictures, "pictures"},
                                 {HoldOut::kNone, "none"}}}};
}

/// Where pictures of the source go.
struct SourceSplit {
  std::vector<std::int64_t> training, validation;
  std::string description;  ///< one line for the log
};

/// Splits the pictures at `usable`. A pure function of its arguments.
/// @param category the one to hold out; empty: chosen by `seed`
/// @throws ConfigError if the category asked for is not there, or would leave nothing to train on
SourceSplit split_source(const std::vector<SourcePicture>& pictures,
                         const std::vector<std::int64_t>& usable, HoldOut hold_out,
                         const std::string& category, std::uint64_t seed);

}  // namespace nagl
