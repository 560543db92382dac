#include "nagl/core/error.h"
#include "readers.h"

namespace nagl {
namespace {

namespace fs = std::filesystem;

constexpr const char* kUngood = "Ungood";

bool is_category(const fs::path& folder) {
  return is_folder(named_in(named_in(folder, "test"), kUngood));
}

/// BMAD keeps pictures in `img` where there are labels, else in the folder itself.
fs::path pictures_of(const fs::path& folder) {
  const fs::path inner = named_in(folder, "img");
  return is_folder(inner) ? inner : folder;
}

Category read_category(const fs::path& folder) {
  Category category;
  category.folder = folder;
  category.name = name_of(folder);
  category.train = good_samples(pictures_of(named_in(named_in(folder, "train"), kGood)));
  const fs::path test = named_in(folder, "test"), ungood = named_in(test, kUngood);
  const fs::path labels = named_in(ungood, "label");
  category.test = defect_samples(pictures_of(ungood), "ungood", masks_in(labels));
  std::erase_if(category.test, [&](const Sample& sample) {  // where there is no img/ beside it
    return sample.path.parent_path() == labels;
  });
  const auto good = good_samples(pictures_of(named_in(test, kGood)));
  category.test.insert(category.test.begin(), good.begin(), good.end());
  return category;
}

}  // namespace

bool is_bmad(const fs::path& root) { return !category_folders(root, is_category).empty(); }

std::vector<Category> read_bmad(const fs::path& root) {
  return read_categories(root, is_category, read_category, "BMAD's layout (test/Ungood)");
}

}  // namespace nagl
