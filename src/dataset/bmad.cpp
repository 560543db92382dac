#include "nagl/core/error.h"
#include "readers.h"

namespace nagl {
namespace {

namespace fs = std::filesystem;

constexpr const char* kUngood = "Ungood";

bool is_category(const fs::path& folder) { return is_folder(folder / "test" / kUngood); }

/// BMAD keeps pictures in `img` where there are labels, else in the folder itself.
fs::path pictures_of(const fs::path& folder) {
  return is_folder(folder / "img") ? folder / "img" : folder;
}

Category read_category(const fs::path& folder) {
  Category category;
  category.folder = folder;
  category.name = name_of(folder);
  category.train = good_samples(pictures_of(folder / "train" / kGood));
  const fs::path ungood = folder / "test" / kUngood;
  category.test = defect_samples(pictures_of(ungood), "ungood", masks_in(ungood / "label"));
  std::erase_if(category.test, [&](const Sample& sample) {  // where there is no img/ beside it
    return sample.path.parent_path() == ungood / "label";
  });
  const auto good = good_samples(pictures_of(folder / "test" / kGood));
  category.test.insert(category.test.begin(), good.begin(), good.end());
  return category;
}

}  // namespace

bool is_bmad(const fs::path& root) { return !category_folders(root, is_category).empty(); }

std::vector<Category> read_bmad(const fs::path& root) {
  std::vector<Category> categories;
  for (const auto& folder : category_folders(root, is_category)) {
    categories.push_back(read_category(folder));
  }
  if (categories.empty()) {
    throw DataError("'" + root.string() + "' holds no category in BMAD's layout (test/Ungood)");
  }
  return categories;
}

}  // namespace nagl
