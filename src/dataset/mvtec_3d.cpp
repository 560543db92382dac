#include "nagl/core/error.h"
#include "readers.h"

namespace nagl {
namespace {

namespace fs = std::filesystem;

constexpr const char *kPictures = "rgb", *kTruth = "gt";

bool is_category(const fs::path& folder) {
  return is_folder(named_in(folder, "test")) &&
         is_folder(named_in(named_in(named_in(folder, "train"), kGood), kPictures));
}

std::vector<Sample> good_in(const fs::path& split) {
  return good_samples(named_in(named_in(split, kGood), kPictures));
}

Category read_category(const fs::path& folder) {
  Category category;
  category.folder = folder;
  category.name = name_of(folder);
  category.train = good_in(named_in(folder, "train"));
  category.validation = good_in(named_in(folder, "validation"));
  for (const auto& type_folder : sorted_folders(named_in(folder, "test"))) {
    const std::string type = type_folder.filename().string();
    const bool good = is_good_name(type);
    const auto masks = good ? std::nullopt : masks_in(named_in(type_folder, kTruth));
    const auto samples =
        defect_samples(named_in(type_folder, kPictures), good ? kGood : type, masks);
    category.test.insert(category.test.end(), samples.begin(), samples.end());
  }
  if (category.test.empty()) {
    throw DataError("category '" + folder.string() + "' has no pictures in test/TYPE/rgb/");
  }
  return category;
}

}  // namespace

bool is_mvtec_3d(const fs::path& root) { return !category_folders(root, is_category).empty(); }

std::vector<Category> read_mvtec_3d(const fs::path& root) {
  return read_categories(root, is_category, read_category,
                         "MVTec 3D-AD's layout (train/good/rgb and test/)");
}

}  // namespace nagl
