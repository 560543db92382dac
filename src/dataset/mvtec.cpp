#include <algorithm>
#include <set>

#include "nagl/core/error.h"
#include "nagl/dataset/dataset.h"
#include "nagl/dataset/pictures.h"

namespace nagl {
namespace {

namespace fs = std::filesystem;

bool is_category(const fs::path& folder) {
  return fs::is_directory(folder / "test") && fs::is_directory(folder / "train" / kGood);
}

std::vector<fs::path> sorted_folders(const fs::path& folder) {
  std::vector<fs::path> folders;
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(folder, error)) {
    if (entry.is_directory() && !entry.path().filename().string().starts_with('.')) {
      folders.push_back(entry.path());
    }
  }
  if (error) throw DataError("cannot list '" + folder.string() + "': " + error.message());
  std::sort(folders.begin(), folders.end());
  return folders;
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
    const fs::path masks = folder / "ground_truth" / type;
    std::optional<StemIndex> index;
    if (type != kGood && fs::is_directory(masks)) index.emplace(masks);
    for (const auto& file : list_pictures(type_folder)) {
      category.test.push_back({file.path, type, index ? index->find(file) : std::nullopt});
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
  if (!fs::is_directory(root)) throw DataError("'" + root.string() + "' is not a folder");
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

std::optional<Sample> locate_in_mvtec(const fs::path& picture) {
  const fs::path absolute = fs::absolute(picture).lexically_normal();
  const fs::path type_folder = absolute.parent_path();
  const fs::path split_folder = type_folder.parent_path();
  const fs::path category = split_folder.parent_path();
  if (!is_category(category)) return std::nullopt;
  const std::string type = type_folder.filename().string(),
                    split = split_folder.filename().string();
  if (split != "test" && !(split == "train" && type == kGood)) return std::nullopt;
  Sample sample{picture, type, std::nullopt};
  const fs::path masks = category / "ground_truth" / type;
  if (sample.anomalous() && fs::is_directory(masks)) {
    for (const char* suffix : {"_mask.png", ".png"}) {
      const fs::path mask = masks / (absolute.stem().string() + suffix);
      if (fs::is_regular_file(mask)) {
        sample.mask = mask;
        break;
      }
    }
  }
  return sample;
}

}  // namespace nagl
