#include <algorithm>
#include <iterator>

#include "nagl/core/error.h"
#include "nagl/core/text.h"
#include "readers.h"

namespace nagl {
namespace {

namespace fs = std::filesystem;

/// The folder of good pictures in `split`: `good`, or BTAD's `ok`; empty if there is none.
fs::path good_folder(const fs::path& split) {
  if (!is_folder(split)) return {};
  for (const auto& folder : sorted_folders(split)) {
    if (is_good_name(folder.filename().string())) return folder;
  }
  return {};
}

bool is_category(const fs::path& folder) {
  return is_folder(named_in(folder, "test")) && !good_folder(named_in(folder, "train")).empty();
}

std::string type_of(const fs::path& folder) {
  const std::string name = folder.filename().string();
  return is_good_name(name) ? kGood : name;
}

Category read_category(const fs::path& folder) {
  Category category;
  category.folder = folder;
  category.name = name_of(folder);
  category.train = good_samples(good_folder(named_in(folder, "train")));
  category.validation = good_samples(good_folder(named_in(folder, "validation")));
  for (const auto& type_folder : sorted_folders(named_in(folder, "test"))) {
    const std::string type = type_of(type_folder);
    MvtecMasks masks(folder, type_folder.filename().string());
    for (const auto& file : list_pictures(type_folder)) {
      category.test.push_back(
          {file.path, type, type == kGood ? std::vector<fs::path>() : masks.find(file)});
    }
  }
  if (category.test.empty()) {
    throw DataError("category '" + folder.string() + "' has no pictures in test/");
  }
  return category;
}

}  // namespace

MvtecMasks::MvtecMasks(const fs::path& category, const std::string& type)
    : folder_(named_in(category, "ground_truth") / type) {}

std::vector<fs::path> MvtecMasks::find(const PictureFile& picture) {
  if (!index_ && !holds_pictures(folder_)) return {};
  std::vector<fs::path> masks;
  if (const fs::path own = folder_ / picture.path.stem(); is_folder(own)) {
    for (const auto& file : list_pictures(own)) masks.push_back(file.path);
    return masks;
  }
  if (!index_) index_.emplace(folder_);
  if (auto mask = index_->find(picture)) masks.push_back(std::move(*mask));
  return masks;
}

bool is_mvtec(const fs::path& root) { return !category_folders(root, is_category).empty(); }

std::vector<Category> read_mvtec(const fs::path& root) {
  return read_categories(root, is_category, read_category,
                         "MVTec layout (train/good and test/ side by side)");
}

std::optional<Sample> MvtecLocator::find(const fs::path& picture) {
  const fs::path absolute = fs::absolute(picture).lexically_normal();
  // The category is the nearest folder above that looks like one.
  const auto [entry, fresh] = categories_.try_emplace(absolute.parent_path());
  if (fresh) {
    fs::path above = absolute.parent_path();
    while (!is_category(above) && above != above.parent_path()) above = above.parent_path();
    if (above != above.parent_path()) entry->second = above;
  }
  const fs::path& category = entry->second;
  if (category.empty()) return std::nullopt;
  const fs::path place = absolute.lexically_relative(category);  // SPLIT/TYPE/.../x.png
  auto part = place.begin();
  const std::string split = (part++)->string();
  if (part == place.end() || std::next(part) == place.end()) return std::nullopt;
  const fs::path folder = category / split / *part;
  const std::string type = type_of(folder);
  const std::string lower = lower_case(split);
  const bool good_split = lower == "train" || lower == "validation";
  if (lower != "test" && !(good_split && type == kGood)) return std::nullopt;

  Sample sample{picture, type, {}};
  if (!sample.anomalous()) return sample;
  auto known = masks_.find(folder);
  if (known == masks_.end()) {
    known = masks_.emplace(folder, MvtecMasks(category, folder.filename().string())).first;
  }
  sample.masks = known->second.find({absolute, folder});
  return sample;
}

}  // namespace nagl
