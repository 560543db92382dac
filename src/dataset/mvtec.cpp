#include <algorithm>
#include <iterator>
#include <set>

#include "nagl/core/error.h"
#include "nagl/dataset/dataset.h"
#include "nagl/dataset/pictures.h"

namespace nagl {
namespace {

namespace fs = std::filesystem;

bool is_folder(const fs::path& path) {
  std::error_code error;
  return fs::is_directory(path, error);
}

bool is_category(const fs::path& folder) {
  return is_folder(folder / "test") && is_folder(folder / "train" / kGood);
}

std::vector<fs::path> sorted_folders(const fs::path& folder) {
  std::vector<fs::path> folders;
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(folder, error)) {
    if (is_folder(entry.path()) && !entry.path().filename().string().starts_with('.')) {
      folders.push_back(entry.path());
    }
  }
  if (error) throw DataError("cannot list '" + folder.string() + "': " + error.message());
  std::sort(folders.begin(), folders.end());
  return folders;
}

std::optional<StemIndex> masks_of(const fs::path& category, const std::string& type) {
  const fs::path folder = category / "ground_truth" / type;
  if (type == kGood || !is_folder(folder)) return std::nullopt;
  return StemIndex(folder);
}

Category read_category(const fs::path& folder) {
  Category category;
  category.folder = folder;
  category.name = fs::weakly_canonical(folder).filename().string();
  for (const auto& file : list_pictures(folder / "train" / kGood)) {
    category.train.push_back({file.path, kGood, std::nullopt});
  }
  for (const auto& type_folder : sorted_folders(folder / "test")) {
    const std::string type = type_folder.filename().string();
    const auto masks = masks_of(folder, type);
    for (const auto& file : list_pictures(type_folder)) {
      category.test.push_back({file.path, type, masks ? masks->find(file) : std::nullopt});
    }
  }
  if (category.test.empty()) {
    throw DataError("category '" + folder.string() + "' has no pictures in test/");
  }
  return category;
}

}  // namespace

std::vector<std::string> Category::defects() const {
  std::set<std::string> types;
  for (const auto& sample : test) {
    if (sample.anomalous()) types.insert(sample.defect);
  }
  return {types.begin(), types.end()};
}

Dataset read_mvtec(const fs::path& root) {
  if (!is_folder(root)) throw DataError("'" + root.string() + "' is not a folder");
  Dataset dataset;
  if (is_category(root)) {
    dataset.categories.push_back(read_category(root));
    return dataset;
  }
  for (const auto& folder : sorted_folders(root)) {
    if (is_category(folder)) dataset.categories.push_back(read_category(folder));
  }
  if (dataset.categories.empty()) {
    throw DataError("'" + root.string() +
                    "' holds no category in MVTec layout (train/good and test/ side by side)");
  }
  return dataset;
}

Dataset read_mvtec(const std::vector<fs::path>& roots) {
  Dataset all;
  std::map<std::string, std::size_t> names;
  std::set<fs::path> folders;
  for (const auto& root : roots) {
    for (auto& category : read_mvtec(root).categories) {
      if (!folders.insert(fs::weakly_canonical(category.folder)).second) {
        throw DataError("category '" + category.folder.string() + "' is named twice; name it once");
      }
      ++names[category.name];
      all.categories.push_back(std::move(category));
    }
  }
  std::set<std::string> unique;
  for (auto& category : all.categories) {
    if (names[category.name] > 1) {
      const fs::path folder = fs::weakly_canonical(category.folder);
      category.name = folder.parent_path().filename().string() + "/" + category.name;
    }
    if (!unique.insert(category.name).second) {
      throw DataError("two categories are called '" + category.name + "', one of them in '" +
                      category.folder.string() + "'; rename a folder");
    }
  }
  std::sort(all.categories.begin(), all.categories.end(),
            [](const Category& a, const Category& b) { return a.name < b.name; });
  return all;
}

std::optional<Sample> MvtecLocator::find(const fs::path& picture) {
  const fs::path absolute = fs::absolute(picture).lexically_normal();
  // The category is the nearest folder above that looks like one.
  fs::path category = absolute.parent_path();
  while (!is_category(category)) {
    if (category == category.parent_path()) return std::nullopt;
    category = category.parent_path();
  }
  const fs::path place = absolute.lexically_relative(category);  // SPLIT/TYPE/.../x.png
  auto part = place.begin();
  const std::string split = (part++)->string();
  if (part == place.end() || std::next(part) == place.end()) return std::nullopt;
  const std::string type = part->string();
  if (split != "test" && !(split == "train" && type == kGood)) return std::nullopt;

  Sample sample{picture, type, std::nullopt};
  if (!sample.anomalous()) return sample;
  const fs::path folder = category / split / type;
  auto known = masks_.find(folder);
  if (known == masks_.end()) known = masks_.emplace(folder, masks_of(category, type)).first;
  if (known->second) sample.mask = known->second->find({absolute, folder});
  return sample;
}

}  // namespace nagl
