#include "nagl/core/error.h"
#include "readers.h"

namespace nagl {
namespace {

namespace fs = std::filesystem;

constexpr const char *kPublic = "test_public", *kTruth = "ground_truth";

bool is_category(const fs::path& folder) {
  return is_folder(named_in(folder, kPublic)) && is_folder(named_in(folder, "train"));
}

Category read_category(const fs::path& folder) {
  Category category;
  category.folder = folder;
  category.name = name_of(folder);
  category.train = good_samples(named_in(named_in(folder, "train"), kGood));
  category.validation = good_samples(named_in(named_in(folder, "validation"), kGood));
  const fs::path test = named_in(folder, kPublic);
  for (const auto& type_folder : sorted_folders(test)) {
    const std::string type = type_folder.filename().string();
    if (is_mask_folder(type_folder)) continue;
    const bool good = is_good_name(type);
    const auto masks = good ? std::nullopt : masks_in(named_in(test, kTruth) / type);
    const auto samples = defect_samples(type_folder, good ? kGood : type, masks);
    category.test.insert(good ? category.test.begin() : category.test.end(), samples.begin(),
                         samples.end());
  }
  if (category.test.empty()) {
    throw DataError("category '" + folder.string() + "' has no pictures in test_public/");
  }
  for (const char* split : {"test_private", "test_private_mixed"}) {
    const fs::path pictures = named_in(folder, split);
    if (!holds_pictures(pictures)) continue;
    for (const auto& file : list_pictures(pictures)) {
      category.unlabelled[split].push_back(file.path);
    }
  }
  return category;
}

}  // namespace

bool is_mvtec_ad2(const fs::path& root) { return !category_folders(root, is_category).empty(); }

std::vector<Category> read_mvtec_ad2(const fs::path& root) {
  return read_categories(root, is_category, read_category,
                         "MVTec AD 2's layout (train/good and test_public)");
}

}  // namespace nagl
