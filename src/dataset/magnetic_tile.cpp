#include <algorithm>

#include "nagl/core/error.h"
#include "nagl/core/text.h"
#include "readers.h"

namespace nagl {
namespace {

namespace fs = std::filesystem;

constexpr const char *kPrefix = "mt_", *kFree = "free", *kPictures = "imgs";

/// `MT_Blowhole` and so on, with the pictures in `Imgs`.
bool is_type(const fs::path& folder) {
  return lower_case(folder.filename().string()).starts_with(kPrefix) &&
         is_folder(named_in(folder, kPictures));
}

bool is_category(const fs::path& folder) {
  const auto folders = sorted_folders(folder);
  return std::count_if(folders.begin(), folders.end(), is_type) > 1;
}

/// There is no split: all are to test on.
Category read_category(const fs::path& folder) {
  Category category;
  category.folder = folder;
  category.name = name_of(folder);
  for (const auto& type_folder : sorted_folders(folder)) {
    if (!is_type(type_folder)) continue;
    const std::string type =
        lower_case(type_folder.filename().string()).substr(std::string(kPrefix).size());
    const fs::path pictures = named_in(type_folder, kPictures);
    std::error_code error;
    for (const auto& entry : fs::directory_iterator(pictures, error)) {
      if (lower_case(entry.path().extension().string()) != ".jpg") continue;
      Sample sample{entry.path(), kGood, {}};
      if (type != kFree) {
        sample.defect = type;
        sample.masks.push_back(fs::path(entry.path()).replace_extension(".png"));
        check_listed(entry.path(), sample.masks.front());
        sample = labelled_by(std::move(sample));
      }
      category.test.push_back(std::move(sample));
    }
    if (error) throw DataError("cannot list '" + pictures.string() + "': " + error.message());
  }
  sort_samples(category.test);
  return category;
}

}  // namespace

bool is_magnetic_tile(const fs::path& root) { return !category_folders(root, is_category).empty(); }

std::vector<Category> read_magnetic_tile(const fs::path& root) {
  return read_categories(root, is_category, read_category,
                         "the Magnetic Tile data set's layout (MT_Free/Imgs, MT_Break/Imgs, ...)");
}

}  // namespace nagl
