#include <algorithm>

#include "nagl/core/error.h"
#include "nagl/core/text.h"
#include "readers.h"

namespace nagl {
namespace {

namespace fs = std::filesystem;

bool is_digits(const std::string& text) {
  return !text.empty() && text.find_first_not_of("0123456789") == std::string::npos;
}

/// `kos01` and so on: one commutator each.
bool is_commutator(const fs::path& folder) {
  const std::string name = lower_case(folder.filename().string());
  return name.starts_with("kos") && is_digits(name.substr(3));
}

/// Whether a folder is full of `Part0.jpg` beside `Part0_label.bmp`, or of `10000.png` beside
/// `10000_GT.png`.
bool holds_labelled(const fs::path& folder, const std::string& ending) {
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(folder, error)) {
    const std::string stem = lower_case(entry.path().stem().string());
    if (stem.ends_with(ending) && is_mask_beside_picture(entry.path())) return true;
  }
  return false;
}

bool is_ksdd_category(const fs::path& folder) {
  const auto folders = sorted_folders(folder);
  return std::any_of(folders.begin(), folders.end(), [](const fs::path& inner) {
    return is_commutator(inner) && holds_labelled(inner, "_label");
  });
}

bool is_ksdd2_category(const fs::path& folder) {
  return holds_labelled(named_in(folder, "train"), "_gt") &&
         holds_labelled(named_in(folder, "test"), "_gt");
}

/// There is no split of its own: all are to test on.
Category read_ksdd_category(const fs::path& folder) {
  Category category;
  category.folder = folder;
  category.name = name_of(folder);
  for (const auto& commutator : sorted_folders(folder)) {
    if (!is_commutator(commutator)) continue;
    for (auto& sample : labelled_beside(commutator, kUntypedDefect)) {
      category.test.push_back(std::move(sample));
    }
  }
  sort_samples(category.test);
  return category;
}

Category read_ksdd2_category(const fs::path& folder) {
  Category category;
  category.folder = folder;
  category.name = name_of(folder);
  category.train = labelled_beside(named_in(folder, "train"), kUntypedDefect);
  std::erase_if(category.train, [](const Sample& sample) { return sample.anomalous(); });
  category.test = labelled_beside(named_in(folder, "test"), kUntypedDefect);
  sort_samples(category.test);
  return category;
}

}  // namespace

bool is_ksdd(const fs::path& root) { return !category_folders(root, is_ksdd_category).empty(); }

std::vector<Category> read_ksdd(const fs::path& root) {
  return read_categories(root, is_ksdd_category, read_ksdd_category,
                         "KolektorSDD's layout (kos01/Part0.jpg beside Part0_label.bmp)");
}

bool is_ksdd2(const fs::path& root) { return !category_folders(root, is_ksdd2_category).empty(); }

std::vector<Category> read_ksdd2(const fs::path& root) {
  return read_categories(root, is_ksdd2_category, read_ksdd2_category,
                         "KolektorSDD2's layout (train/10000.png beside 10000_GT.png, and test/)");
}

}  // namespace nagl
