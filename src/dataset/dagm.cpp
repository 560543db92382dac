#include "nagl/core/error.h"
#include "readers.h"

namespace nagl {
namespace {

namespace fs = std::filesystem;

bool is_split(const fs::path& folder) { return is_folder(named_in(folder, "label")); }

/// The folder with `Train` and `Test`: itself, or one of its own name in it, as a copy of the data
/// set has it. Empty if there is none.
fs::path splits_of(const fs::path& folder) {
  for (const auto& place : {folder, folder / folder.filename()}) {
    if (is_split(named_in(place, "train")) && is_split(named_in(place, "test"))) return place;
  }
  return {};
}

bool is_category(const fs::path& folder) { return !splits_of(folder).empty(); }

std::vector<Sample> samples_of(const fs::path& split) {
  const fs::path labels = named_in(split, "label");
  const auto masks = masks_in(labels);
  std::vector<Sample> samples;
  for (const auto& file : list_pictures(split)) {
    if (file.path.parent_path() == labels) continue;
    Sample sample{file.path, kGood, {}};
    // One that has no mask has no defect.
    if (auto mask = masks ? masks->find(file) : std::nullopt) {
      sample = labelled_by({file.path, kUntypedDefect, {std::move(*mask)}});
    }
    samples.push_back(std::move(sample));
  }
  sort_samples(samples);
  return samples;
}

Category read_category(const fs::path& folder) {
  Category category;
  category.folder = folder;
  category.name = name_of(folder);
  const fs::path splits = splits_of(folder);
  category.train = samples_of(named_in(splits, "train"));
  std::erase_if(category.train, [](const Sample& sample) { return sample.anomalous(); });
  category.test = samples_of(named_in(splits, "test"));
  return category;
}

}  // namespace

bool is_dagm(const fs::path& root) { return !category_folders(root, is_category).empty(); }

std::vector<Category> read_dagm(const fs::path& root) {
  return read_categories(root, is_category, read_category,
                         "DAGM 2007's layout (Class1/Train/Label and Class1/Test/Label)");
}

}  // namespace nagl
