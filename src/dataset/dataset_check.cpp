#include "nagl/dataset/dataset_check.h"

#include <fmt/format.h>

#include <algorithm>
#include <opencv2/core.hpp>

#include "nagl/core/error.h"
#include "nagl/core/file_part.h"
#include "nagl/image/mask.h"
#include "nagl/image/thumbnail.h"

namespace nagl {
namespace {

namespace fs = std::filesystem;

std::string size_text(const cv::Size& size) {
  return fmt::format("{}x{}", size.width, size.height);
}

/// Looks at the pictures of one category.
class CategoryChecker {
 public:
  CategoryChecker(const Category& category, const DecodeOptions& decode) : decode_(decode) {
    result_.name = category.name;
    result_.train = static_cast<std::int64_t>(category.train.size());
    for (const auto& sample : category.test) ++result_.test[sample.defect];
    result_.validation = static_cast<std::int64_t>(category.validation.size());
    for (const auto& [split, pictures] : category.unlabelled) {
      result_.unlabelled[split] = static_cast<std::int64_t>(pictures.size());
    }
  }

  void look_at(const Sample& sample, bool train) {
    Image image;
    try {
      image = read_image(sample.path, decode_);
      find_duplicate(image, train);
    } catch (const DataError& error) {
      add("broken picture", sample.path, error.what());
      return;
    }
    ++result_.picture_sizes[size_text(image.rgb.size())];
    add(image.remarks, sample.path);
    if (!sample.anomalous()) return;
    if (sample.masks.empty()) add("missing mask", sample.path, "its defect has no mask");
    bool empty = !sample.masks.empty();
    for (const auto& path : sample.masks) {
      try {
        const Mask mask = read_masks_for(image, {path});
        if (cv::countNonZero(mask.marks) > 0) empty = false;
        if (mask.marks.size() != image.rgb.size()) {
          add("mask of another size", path,
              fmt::format("it is {}, its picture {}", size_text(mask.marks.size()),
                          size_text(image.rgb.size())));
        }
        add(mask.remarks, path);
      } catch (const DataError& error) {
        add("broken mask", path, error.what());
        empty = false;
      }
    }
    if (empty) add("empty mask", sample.masks.front(), "it marks nothing");
  }

  const CategoryCheck& result() const { return result_; }

 private:
  void add(const std::string& kind, const fs::path& path, const std::string& detail) {
    result_.findings.push_back({kind, path, detail});
  }

  void add(const std::vector<Remark>& remarks, const fs::path& path) {
    for (const auto& remark : remarks) add(remark.kind, path, remark.text);
  }

  void find_duplicate(const Image& image, bool train) {
    const fs::path& path = image.path;
    const auto [same, fresh] = seen_.emplace(sha256_of_part(path), Seen{path, train});
    if (!fresh) {
      const auto& [other, other_trains] = same->second;
      add("duplicate", path,
          fmt::format("the same bytes as '{}'{}", other.string(),
                      other_trains && !train ? " in train" : ""));
      return;
    }
    if (!file_part_of(path).part.empty()) return;  // slices next to each other are much alike
    const Thumbnail thumbnail(image.rgb);
    for (const auto& [other, of_other] : thumbnails_) {
      if (!thumbnail.is_near_copy(of_other)) continue;
      add("near copy", path, fmt::format("the same shot as '{}', saved again", other.string()));
      return;
    }
    thumbnails_.emplace_back(path, thumbnail);
  }

  const DecodeOptions& decode_;
  CategoryCheck result_;
  struct Seen {
    fs::path path;
    bool train = false;
  };
  std::map<std::string, Seen> seen_;  ///< by the file's SHA-256
  std::vector<std::pair<fs::path, Thumbnail>> thumbnails_;
};

/// All pictures of a category, and whether each is one to train or refer with.
std::vector<std::pair<Sample, bool>> samples_of(const Category& category) {
  std::vector<std::pair<Sample, bool>> all;
  for (const auto& sample : category.train) all.emplace_back(sample, true);
  for (const auto* samples : {&category.validation, &category.test}) {
    for (const auto& sample : *samples) all.emplace_back(sample, false);
  }
  for (const auto& [split, pictures] : category.unlabelled) {
    for (const auto& path : pictures) all.emplace_back(Sample{path, kGood, {}}, false);
  }
  return all;
}

}  // namespace

std::int64_t CategoryCheck::count(const std::string& kind) const {
  return std::count_if(findings.begin(), findings.end(),
                       [&](const DatasetFinding& finding) { return finding.kind == kind; });
}

std::vector<CategoryCheck> check_dataset(
    const Dataset& dataset, const DecodeOptions& decode,
    const std::function<void(std::int64_t, std::int64_t)>& progress,
    const std::function<bool()>& stop) {
  std::int64_t total = 0, done = 0;
  for (const auto& category : dataset.categories) {
    total += static_cast<std::int64_t>(samples_of(category).size());
  }
  std::vector<CategoryCheck> checks;
  for (const auto& category : dataset.categories) {
    CategoryChecker checker(category, decode);
    bool stopped = false;
    for (const auto& [sample, trains] : samples_of(category)) {
      stopped = stopped || (stop && stop());
      if (stopped) break;
      checker.look_at(sample, trains);
      if (progress) progress(++done, total);
    }
    checks.push_back(checker.result());
    if (stopped) break;
  }
  return checks;
}

}  // namespace nagl
