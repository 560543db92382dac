#include "nagl/training/source.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <set>
#include <utility>

#include "nagl/core/error.h"
#include "nagl/core/random.h"

namespace nagl {
namespace {

constexpr std::size_t kFewestCategories = 3;
constexpr std::int64_t kHeldOutShare = 3;  // one of so many

// Keys of Random: an epoch that no training reaches, and a slot for each choice.
constexpr std::uint64_t kSplitEpoch = ~std::uint64_t{0};
constexpr std::uint64_t kCategorySlot = 1, kPicturesSlot = 2;

SourceSplit hold_out_category(const std::vector<SourcePicture>& pictures,
                              const std::vector<std::int64_t>& usable, std::string category,
                              std::uint64_t seed) {
  std::set<std::string> names;
  for (const auto i : usable) names.insert(pictures[static_cast<std::size_t>(i)].category);
  if (names.size() < 2) {
    throw ConfigError(
        "validation.hold_out=category needs at least two categories in the source; use pictures or "
        "none");
  }
  if (category.empty()) {
    Random random(seed, kSplitEpoch, 0, kCategorySlot);
    category = *std::next(names.begin(), random.integer(static_cast<std::int64_t>(names.size())));
  } else if (!names.contains(category)) {
    throw ConfigError(
        fmt::format("validation.category '{}' is not a category of the source", category));
  }
  SourceSplit split;
  for (const auto i : usable) {
    const bool held_out = pictures[static_cast<std::size_t>(i)].category == category;
    (held_out ? split.validation : split.training).push_back(i);
  }
  split.description =
      fmt::format("category {} is held out ({} pictures)", category, split.validation.size());
  return split;
}

SourceSplit hold_out_pictures(const std::vector<SourcePicture>& pictures,
                              const std::vector<std::int64_t>& usable, std::uint64_t seed) {
  Random random(seed, kSplitEpoch, 0, kPicturesSlot);
  SourceSplit split;
  const auto divide = [&](const std::vector<std::int64_t>& all) {
    const auto count = static_cast<std::int64_t>(all.size());
    const auto chosen = random.choose(count, count / kHeldOutShare);
    const std::set<std::int64_t> held_out(chosen.begin(), chosen.end());
    for (std::int64_t i = 0; i < count; ++i) {
      (held_out.contains(i) ? split.validation : split.training)
          .push_back(all[static_cast<std::size_t>(i)]);
    }
  };
  for (const auto& category : group_pictures(pictures, usable)) {
    divide(category.good);
    for (const auto& defect : category.defects) divide(defect.pictures);
  }
  std::sort(split.training.begin(), split.training.end());
  std::sort(split.validation.begin(), split.validation.end());
  split.description =
      fmt::format("a third of the good pictures and of each defect type's is held out ({} of {})",
                  split.validation.size(), usable.size());
  return split;
}

}  // namespace

std::vector<CategoryPictures> group_pictures(const std::vector<SourcePicture>& pictures,
                                             const std::vector<std::int64_t>& indices) {
  std::map<std::string, std::map<std::string, std::vector<std::int64_t>>> sorted;
  for (const auto i : indices) {
    const auto& picture = pictures[static_cast<std::size_t>(i)];
    sorted[picture.category][picture.defect].push_back(i);
  }
  std::vector<CategoryPictures> groups;
  for (auto& [name, types] : sorted) {
    CategoryPictures group;
    group.name = name;
    for (auto& [type, members] : types) {
      if (type.empty()) {
        group.good = std::move(members);
      } else {
        group.defects.push_back({type, std::move(members)});
      }
    }
    groups.push_back(std::move(group));
  }
  return groups;
}

SourceSplit split_source(const std::vector<SourcePicture>& pictures,
                         const std::vector<std::int64_t>& usable, HoldOut hold_out,
                         const std::string& category, std::uint64_t seed) {
  if (hold_out == HoldOut::kAuto) {
    const bool many = group_pictures(pictures, usable).size() >= kFewestCategories;
    hold_out = many || !category.empty() ? HoldOut::kCategory : HoldOut::kPictures;
  }
  switch (hold_out) {
    case HoldOut::kCategory:
      return hold_out_category(pictures, usable, category, seed);
    case HoldOut::kPictures:
      return hold_out_pictures(pictures, usable, seed);
    default:
      return {usable, {}, "nothing is held out"};
  }
}

}  // namespace nagl
