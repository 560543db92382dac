#include "nagl/core/csv.h"
#include "nagl/core/error.h"
#include "readers.h"

namespace nagl {
namespace {

namespace fs = std::filesystem;

constexpr const char* kSplit = "1cls.csv";

/// The split file that `root` is or holds.
fs::path split_file(const fs::path& root) {
  return is_folder(root) ? root / "split_csv" / kSplit : root;
}

}  // namespace

bool is_visa(const fs::path& root) {
  const fs::path file = split_file(root);
  return file.filename() == kSplit && is_file(file);
}

std::vector<Category> read_visa(const fs::path& root) {
  const fs::path file = split_file(root);
  const fs::path folder = fs::absolute(file).parent_path().parent_path();
  CategoryCollector categories(folder);
  for (const auto& row : read_csv(file, {"object", "split", "label", "image", "mask"})) {
    Sample sample;
    sample.path = listed_path(folder, row.get("image"));
    check_listed(file, sample.path);
    if (!is_good_name(row.get("label"))) {
      sample.defect = row.get("label");
      if (const std::string mask = row.get("mask"); !mask.empty()) {
        sample.masks.push_back(listed_path(folder, mask));
        check_listed(file, sample.masks.back());
      }
    }
    const bool train = row.get("split") == "train";
    if (train && sample.anomalous()) {
      throw DataError("'" + file.string() + "', line " + std::to_string(row.line) +
                      ": a defective picture in the training split");
    }
    categories.add(row.get("object"), train, std::move(sample));
  }
  return categories.take(file);
}

}  // namespace nagl
