#include <algorithm>
#include <fstream>

#include "nagl/core/atomic_file.h"
#include "nagl/core/error.h"
#include "nagl/core/json.h"
#include "readers.h"

namespace nagl {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kLargestFile = std::size_t{1} << 30;
constexpr std::size_t kHeadBytes = 4096;
constexpr const char* kSign = "\"normal_class\"";

/// Whether a file begins like one of Real-IAD's; the whole of it may be tens of megabytes.
bool is_split_file(const fs::path& path) {
  if (path.extension() != ".json" || !is_file(path)) return false;
  std::ifstream file(path, std::ios::binary);
  std::string head(kHeadBytes, '\0');
  file.read(head.data(), static_cast<std::streamsize>(head.size()));
  head.resize(static_cast<std::size_t>(file.gcount()));
  return head.find(kSign) != std::string::npos;
}

/// Real-IAD's files: `root` itself, or those in it and up to two folders down.
std::vector<fs::path> split_files(const fs::path& root) {
  if (!is_folder(root)) return is_split_file(root) ? std::vector{root} : std::vector<fs::path>();
  std::vector<fs::path> files;
  const auto look = [&](const fs::path& folder) {
    std::error_code error;
    for (const auto& entry : fs::directory_iterator(folder, error)) {
      if (is_split_file(entry.path())) files.push_back(entry.path());
    }
  };
  look(root);
  for (const auto& folder : sorted_folders(root)) {
    look(folder);
    for (const auto& inner : sorted_folders(folder)) look(inner);
  }
  std::sort(files.begin(), files.end());
  return files;
}

/// The folder that a split file's paths are relative to: `prefix` (the category) below the data
/// set's folder, or below one folder in it (`realiad_1024`).
fs::path picture_folder(const fs::path& root, const fs::path& file, const std::string& prefix,
                        const std::string& picture) {
  const fs::path base = is_folder(root) ? root : fs::absolute(file).parent_path();
  for (const fs::path& top : {base, base.parent_path(), base.parent_path().parent_path()}) {
    if (is_file(top / prefix / picture)) return top / prefix;
    if (!is_folder(top)) continue;
    for (const auto& folder : sorted_folders(top)) {
      if (is_file(folder / prefix / picture)) return folder / prefix;
    }
    if (is_folder(root)) break;  // nothing outside what was named
  }
  throw DataError("'" + file.string() + "' lists '" + prefix + picture + "', which is not below '" +
                  base.string() + "'");
}

void read_split_file(const fs::path& root, const fs::path& file, CategoryCollector& categories) {
  try {
    const Json json = parse_json(read_file(file, kLargestFile));
    const std::string normal = json.at("meta").at("normal_class");
    const std::string prefix = json.at("meta").value("prefix", "");
    fs::path folder;
    for (const char* split : {"train", "test"}) {
      const bool train = std::string_view(split) == "train";
      for (const auto& item : json.at(split)) {
        const std::string picture = item.at("image_path");
        if (folder.empty()) folder = picture_folder(root, file, prefix, picture);
        Sample sample;
        sample.path = listed_path(folder, picture);
        check_listed(file, sample.path);
        // .../S0001/x_C1_x.jpg: a part is seen by five cameras.
        sample.part = listed_path({}, picture).parent_path().string();
        if (const std::string type = item.at("anomaly_class"); type != normal) sample.defect = type;
        const auto mask = item.find("mask_path");
        if (sample.anomalous() && mask != item.end() && mask->is_string()) {
          sample.masks.push_back(listed_path(folder, mask->get<std::string>()));
          check_listed(file, sample.masks.back());
        }
        // A training split with defects (its unsupervised setting) is of no use as references.
        if (train && sample.anomalous()) continue;
        categories.add(item.at("category"), train, std::move(sample));
      }
    }
  } catch (const Json::exception& error) {
    throw DataError("'" + file.string() + "' is not a Real-IAD file: " + error.what());
  }
}

}  // namespace

bool is_real_iad(const fs::path& root) { return !split_files(root).empty(); }

std::vector<Category> read_real_iad(const fs::path& root) {
  const auto files = split_files(root);
  if (files.empty()) {
    throw DataError("'" + root.string() + "' holds no JSON file of Real-IAD (with " +
                    std::string(kSign) + ")");
  }
  CategoryCollector categories(is_folder(root) ? root : root.parent_path());
  for (const auto& file : files) read_split_file(root, file, categories);
  return categories.take(root);
}

}  // namespace nagl
