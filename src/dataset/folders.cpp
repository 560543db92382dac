#include <algorithm>

#include "nagl/core/error.h"
#include "nagl/core/text.h"
#include "readers.h"

namespace nagl {
namespace {

namespace fs = std::filesystem;

/// Masks of all types; `label` is a kind of part elsewhere, here it never was.
bool holds_masks(const fs::path& folder) {
  const std::string name = lower_case(folder.filename().string());
  return is_mask_folder(folder) || name == "label" || name == "labels";
}

bool is_category(const fs::path& folder) {
  if (!is_folder(folder)) return false;
  const auto folders = sorted_folders(folder);
  const auto good = [](const fs::path& path) { return is_good_name(path.filename().string()); };
  return folders.size() > 1 && std::any_of(folders.begin(), folders.end(), good);
}

/// The masks of a defect type: `TYPE_mask/`, `masks/TYPE/`, `masks/` (and their like), or among its
/// pictures.
std::optional<StemIndex> masks_of(const fs::path& category, const std::string& type) {
  std::vector<fs::path> of_all;
  for (const auto& folder : sorted_folders(category)) {
    if (!holds_masks(folder)) continue;
    const std::string name = folder.filename().string();
    if (name.starts_with(type + "_") && is_mask_folder(folder)) {
      if (auto masks = masks_in(folder)) return masks;
    } else {
      of_all.push_back(folder);
    }
  }
  for (const auto& folder : of_all) {
    if (auto masks = masks_in(folder / type)) return masks;
    // One folder for all types; where there are folders in it, they are other types' own.
    if (!sorted_folders(folder).empty()) continue;
    if (auto masks = masks_in(folder)) return masks;
  }
  std::vector<PictureFile> beside;
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
    } else if (!holds_masks(type_folder)) {
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
  return read_categories(root, is_category, read_category,
                         "plain folders: none has good/ (or normal/, healthy/, ok/) beside folders "
                         "of defects");
}

}  // namespace nagl
