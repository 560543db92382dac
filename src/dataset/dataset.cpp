#include "nagl/dataset/dataset.h"

#include <algorithm>
#include <map>
#include <opencv2/core.hpp>
#include <set>
#include <utility>

#include "nagl/core/error.h"
#include "nagl/core/file_part.h"
#include "nagl/core/text.h"
#include "nagl/image/mask.h"
#include "readers.h"

namespace nagl {
namespace {

namespace fs = std::filesystem;

/// In the order in which they are tried: a layout whose signs are clearer comes first.
std::vector<DatasetReader> readers(const std::string& modality) {
  return {
      {DatasetFormat::kVisa, is_visa, read_visa},
      {DatasetFormat::kBmad, is_bmad, read_bmad},
      {DatasetFormat::kMvtecAd2, is_mvtec_ad2, read_mvtec_ad2},
      {DatasetFormat::kMvtec3d, is_mvtec_3d, read_mvtec_3d},
      {DatasetFormat::kMvtec, is_mvtec, read_mvtec},
      {DatasetFormat::kManifest, is_manifest, read_manifest},
      {DatasetFormat::kKsdd2, is_ksdd2, read_ksdd2},
      {DatasetFormat::kKsdd, is_ksdd, read_ksdd},
      {DatasetFormat::kDagm, is_dagm, read_dagm},
      {DatasetFormat::kMagneticTile, is_magnetic_tile, read_magnetic_tile},
      {DatasetFormat::kBrats, is_brats,
       [modality](const fs::path& root) { return read_brats(root, modality); }},
      {DatasetFormat::kRealIad, is_real_iad, read_real_iad},
      {DatasetFormat::kFolders, is_folders, read_folders},
  };
}
constexpr const char* kGoodNames[] = {kGood, "normal", "healthy", "ok"};

/// Plain folders are what is left when nothing else fits. Where a training split of good pictures
/// is in sight, that is some other layout, of which they would be a part.
void check_whole(const fs::path& root) {
  const fs::path above = fs::absolute(root).lexically_normal() / "..";
  for (const auto& folder : {root, above.lexically_normal()}) {
    const fs::path train = named_in(folder, "train");
    if (!is_folder(train)) continue;
    for (const auto& good : sorted_folders(train)) {
      if (!is_good_name(good.filename().string())) continue;
      throw DataError(
          "'" + root.string() + "' has the good pictures of a training split beside it ('" +
          good.string() +
          "') in a layout that is not known; give the folder that holds train/ and "
          "test/, a manifest, or --format folders to take it for plain folders and its test "
          "pictures for references");
    }
  }
}

DatasetReader reader_for(const fs::path& root, DatasetFormat format, const std::string& modality) {
  for (const auto& reader : readers(modality)) {
    if (format == DatasetFormat::kAuto ? reader.recognises(root) : reader.format == format) {
      if (format == DatasetFormat::kAuto && reader.format == DatasetFormat::kFolders) {
        check_whole(root);
      }
      return reader;
    }
  }
  throw DataError(
      "'" + root.string() +
      "' has none of the layouts that nagl reads: MVTec AD's (train/good and test/ side by side), "
      "MVTec AD 2's (test_public/), MVTec 3D-AD's, VisA's (split_csv/1cls.csv), BMAD's "
      "(test/Ungood), BraTS' volumes, Real-IAD's JSON, those of KolektorSDD and KolektorSDD2, DAGM "
      "2007 and the "
      "Magnetic Tile data set, a folder good/ beside folders of defects, or a CSV or JSON "
      "manifest");
}

}  // namespace

std::vector<std::string> Category::defects() const {
  std::set<std::string> types;
  for (const auto& sample : test) {
    if (sample.anomalous()) types.insert(sample.defect);
  }
  return {types.begin(), types.end()};
}

Dataset read_dataset(const fs::path& root, DatasetFormat format, const std::string& modality) {
  std::error_code error;
  if (!fs::exists(root, error)) throw DataError("'" + root.string() + "' does not exist");
  const DatasetReader reader = reader_for(root, format, modality);
  Dataset dataset{reader.format, reader.read(root)};
  std::sort(dataset.categories.begin(), dataset.categories.end(),
            [](const Category& a, const Category& b) { return a.name < b.name; });
  return dataset;
}

Dataset read_dataset(const std::vector<fs::path>& roots, DatasetFormat format,
                     const std::string& modality) {
  Dataset all;
  std::map<std::string, std::size_t> names;
  std::set<std::pair<fs::path, std::string>> seen;
  for (const auto& root : roots) {
    Dataset part = read_dataset(root, format, modality);
    if (&root != &roots.front() && part.format != all.format) {
      all.format = DatasetFormat::kAuto;  // several
    } else {
      all.format = part.format;
    }
    for (auto& category : part.categories) {
      if (!seen.emplace(fs::weakly_canonical(category.folder), category.name).second) {
        throw DataError("category '" + category.name + "' in '" + category.folder.string() +
                        "' is named twice; name it once");
      }
      ++names[category.name];
      all.categories.push_back(std::move(category));
    }
  }
  std::set<std::string> unique;
  for (auto& category : all.categories) {
    if (names[category.name] > 1) {
      const fs::path folder = fs::weakly_canonical(category.folder);
      category.name = folder.parent_path().filename().string() + "/" + category.name;
    }
    if (!unique.insert(category.name).second) {
      throw DataError("two categories are called '" + category.name + "', one of them in '" +
                      category.folder.string() + "'; rename a folder");
    }
  }
  std::sort(all.categories.begin(), all.categories.end(),
            [](const Category& a, const Category& b) { return a.name < b.name; });
  return all;
}

bool is_folder(const fs::path& path) {
  std::error_code error;
  return fs::is_directory(path, error);
}

bool is_file(const fs::path& path) {
  std::error_code error;
  return fs::is_regular_file(path, error);
}

bool is_good_name(const std::string& name) {
  const std::string lower = lower_case(name);
  return std::find(std::begin(kGoodNames), std::end(kGoodNames), lower) != std::end(kGoodNames);
}

std::vector<fs::path> sorted_folders(const fs::path& folder) {
  std::vector<fs::path> folders;
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(folder, error)) {
    if (is_folder(entry.path()) && !entry.path().filename().string().starts_with('.')) {
      folders.push_back(entry.path());
    }
  }
  if (error) throw DataError("cannot list '" + folder.string() + "': " + error.message());
  std::sort(folders.begin(), folders.end());
  return folders;
}

std::vector<fs::path> category_folders(const fs::path& root, bool (*fits)(const fs::path&)) {
  if (!is_folder(root)) return {};
  if (fits(root)) return {root};
  std::vector<fs::path> folders;
  for (const auto& folder : sorted_folders(root)) {
    if (fits(folder)) folders.push_back(folder);
  }
  return folders;
}

fs::path named_in(const fs::path& folder, const std::string& name) {
  fs::path plain = folder / name;
  std::error_code error;
  if (fs::exists(plain, error)) return plain;
  const std::string lower = lower_case(name);
  std::vector<fs::path> found;
  for (const auto& entry : fs::directory_iterator(folder, error)) {
    if (lower_case(entry.path().filename().string()) == lower) found.push_back(entry.path());
  }
  return found.empty() ? plain : *std::min_element(found.begin(), found.end());
}

std::vector<Category> read_categories(const fs::path& root, bool (*fits)(const fs::path&),
                                      Category (*read)(const fs::path&),
                                      const std::string& layout) {
  std::vector<Category> categories;
  for (const auto& folder : category_folders(root, fits)) categories.push_back(read(folder));
  if (categories.empty()) {
    throw DataError("'" + root.string() + "' holds no category in " + layout);
  }
  return categories;
}

std::string name_of(const fs::path& folder) {
  const fs::path path = fs::absolute(folder).lexically_normal();
  return (path.has_filename() ? path : path.parent_path()).filename().string();
}

std::vector<Sample> good_samples(const fs::path& folder) {
  return defect_samples(folder, kGood, std::nullopt);
}

std::optional<StemIndex> masks_in(const fs::path& folder) {
  if (!holds_pictures(folder)) return std::nullopt;
  return StemIndex(folder);
}

std::vector<Sample> defect_samples(const fs::path& folder, const std::string& type,
                                   const std::optional<StemIndex>& masks) {
  std::vector<Sample> samples;
  if (!is_folder(folder)) return samples;
  for (const auto& file : list_pictures(folder)) {
    Sample sample{file.path, type, {}};
    if (masks) {
      if (auto mask = masks->find(file)) sample.masks.push_back(std::move(*mask));
    }
    samples.push_back(std::move(sample));
  }
  return samples;
}

Sample labelled_by(Sample sample) {
  if (cv::countNonZero(read_mask(sample.masks.front()).marks) > 0) return sample;
  return {std::move(sample.path), kGood, {}};
}

std::vector<Sample> labelled_beside(const fs::path& folder, const std::string& type) {
  std::vector<PictureFile> masks;
  const auto pictures = list_pictures(folder, &masks);
  const StemIndex index(folder);
  std::vector<Sample> samples;
  for (const auto& picture : pictures) {
    auto mask = index.find(picture);
    if (!mask) {
      throw DataError("'" + picture.path.string() +
                      "' has no mask beside it, so it is not known whether it shows a defect");
    }
    samples.push_back(labelled_by({picture.path, type, {std::move(*mask)}}));
  }
  return samples;
}

void sort_samples(std::vector<Sample>& samples) {
  std::sort(samples.begin(), samples.end(), [](const Sample& a, const Sample& b) {
    return std::tie(a.defect, a.path) < std::tie(b.defect, b.path);
  });
}

void CategoryCollector::add(const std::string& name, bool train, Sample sample) {
  Category& category = categories_[name];
  category.name = name;
  category.folder = root_;
  sample.path = sample.path.lexically_normal();
  (train ? category.train : category.test).push_back(std::move(sample));
}

std::vector<Category> CategoryCollector::take(const fs::path& source) {
  if (categories_.empty()) throw DataError("'" + source.string() + "' lists no pictures");
  std::vector<Category> categories;
  for (auto& [name, category] : categories_) {
    std::set<fs::path> seen;
    for (const auto* samples : {&category.train, &category.test}) {
      for (const auto& sample : *samples) {
        if (seen.insert(sample.path).second) continue;
        throw DataError("'" + source.string() + "' lists '" + sample.path.string() +
                        "' twice; list it once, or name one of the files that list it");
      }
    }
    if (category.test.empty()) {
      throw DataError("category '" + name + "' of '" + source.string() +
                      "' has no pictures to test on");
    }
    sort_samples(category.train);
    sort_samples(category.test);
    categories.push_back(std::move(category));
  }
  return categories;
}

void check_listed(const fs::path& list, const fs::path& picture) {
  if (!is_file(file_of(picture))) {
    throw DataError("'" + list.string() + "' lists '" + picture.string() + "', which is not there");
  }
}

}  // namespace nagl
