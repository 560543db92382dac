#include <algorithm>

#include "nagl/core/error.h"
#include "readers.h"

namespace nagl {
namespace {

namespace fs = std::filesystem;

constexpr const char* kMaskFolders[] = {"masks", "mask", "ground_truth", "labels", "label", "gt"};
constexpr const char* kMaskSuffixes[] = {"_mask", "_masks", "_label", "_labels"};

bool is_category(const fs::path& folder) {
  if (!is_folder(folder)) return false;
  const auto folders = sorted_folders(folder);
  const auto good = [](const fs::path& path) { return is_good_name(path.filename().string()); };
  return folders.size() > 1 && std::any_of(folders.begin(), folders.end(), good);
}

/// The masks of a defect type: `TYPE_mask/`, `masks/TYPE/` or `masks/` (and their like).
std::optional<StemIndex> masks_of(const fs::path& category, const std::string& type) {
  for (const char* suffix : kMaskSuffixes) {
    if (auto masks = masks_in(category / (type + suffix))) return masks;
  }
  for (const char* name : kMaskFolders) {
    const fs::path folder = category / name;
    if (auto masks = masks_in(folder / type)) return masks;
    // One folder for all types; where there are folders in it, they are other types' own.
    if (!is_folder(folder) || !sorted_folders(folder).empty()) continue;
    if (auto masks = masks_in(folder)) return masks;
  }
  std::vector<PictureFile> beside;  // masks among the pictures
  list_pictures(category / type, &beside);
  return beside.empty() ? std::nullopt : std::optional<StemIndex>(category / type);
}

Category read_category(const fs::path& folder) {
  Category category;
  category.folder = folder;
  category.name = name_of(folder);
  std::vector<Sample> defective;
  for (const auto& type_folder : sorted_folders(folder)) {
    const std::string type = type_folder.filename().string();
    if (is_good_name(type)) {
      const auto samples = good_samples(type_folder);
      category.test.insert(category.test.end(), samples.begin(), samples.end());
    } else if (!is_mask_folder_name(type)) {
      const auto samples = defect_samples(type_folder, type, masks_of(folder, type));
      defective.insert(defective.end(), samples.begin(), samples.end());
    }
  }
  category.test.insert(category.test.end(), defective.begin(), defective.end());
  return category;
}

}  // namespace

bool is_folders(const fs::path& root) { return !category_folders(root, is_category).empty(); }

std::vector<Category> read_folders(const fs::path& root) {
  std::vector<Category> categories;
  for (const auto& folder : category_folders(root, is_category)) {
    categories.push_back(read_category(folder));
  }
  if (categories.empty()) {
    throw DataError(
        "'" + root.string() +
        "' holds no folder good/ (or normal/, healthy/, ok/) beside folders of defects");
  }
  return categories;
}

}  // namespace nagl
