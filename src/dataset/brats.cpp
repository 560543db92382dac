#include <fmt/format.h>

#include <algorithm>

#include "nagl/core/error.h"
#include "nagl/core/text.h"
#include "nagl/image/volume.h"
#include "readers.h"

namespace nagl {
namespace {

namespace fs = std::filesystem;

constexpr const char *kTruth = "seg", *kTumour = "tumour";
/// Of the largest axial slice's area: thinner ones show little of the brain.
constexpr double kLeastArea = 0.1;
/// Every so many patients are there for references.
constexpr std::size_t kReferencePatients = 5;

/// `PATIENT/PATIENT_flair.nii.gz`; empty if it is not there.
fs::path volume_of(const fs::path& patient, const std::string& kind) {
  for (const char* end : {".nii.gz", ".nii"}) {
    const fs::path file = patient / (patient.filename().string() + "_" + kind + end);
    if (is_file(file)) return file;
  }
  return {};
}

bool is_patient(const fs::path& folder) { return !volume_of(folder, kTruth).empty(); }

bool is_category(const fs::path& folder) {
  const auto folders = sorted_folders(folder);
  return std::any_of(folders.begin(), folders.end(), is_patient);
}

/// The slices that show enough of the brain.
std::vector<Sample> slices_of(const fs::path& patient, const std::string& modality) {
  const fs::path pictures = volume_of(patient, modality), truth = volume_of(patient, kTruth);
  if (pictures.empty()) {
    throw DataError("'" + patient.string() + "' has no volume '" + patient.filename().string() +
                    "_" + modality + ".nii.gz'; name another --modality, e.g. flair, t1, t1ce, t2");
  }
  constexpr SliceAxis kAxis = SliceAxis::kAxial;
  const auto brain = read_volume(pictures), marks = read_volume(truth);
  if (brain->size() != marks->size()) {
    throw DataError("'" + pictures.string() + "' and '" + truth.string() +
                    "' are of different sizes");
  }
  std::vector<std::int64_t> areas;
  for (std::int64_t i = 0; i < brain->slices(kAxis); ++i) {
    areas.push_back(brain->filled(kAxis, i));
  }
  const auto largest = static_cast<double>(*std::max_element(areas.begin(), areas.end()));
  std::vector<Sample> samples;
  for (std::int64_t i = 0; i < brain->slices(kAxis); ++i) {
    const auto area = static_cast<double>(areas[static_cast<std::size_t>(i)]);
    if (area == 0 || area < kLeastArea * largest) continue;
    const std::string slice = SliceName{kAxis, i}.text();
    Sample sample{
        fmt::format("{}#{}", pictures.string(), slice), kGood, {}, patient.filename().string()};
    if (marks->filled(kAxis, i) > 0) {
      sample.defect = kTumour;
      sample.masks.emplace_back(fmt::format("{}#{}", truth.string(), slice));
    }
    samples.push_back(std::move(sample));
  }
  return samples;
}

}  // namespace

bool is_brats(const fs::path& root) { return !category_folders(root, is_category).empty(); }

std::vector<Category> read_brats(const fs::path& root, const std::string& modality) {
  std::vector<Category> categories;
  for (const auto& folder : category_folders(root, is_category)) {
    Category& category = categories.emplace_back();
    category.folder = folder;
    category.name = name_of(folder);
    std::size_t count = 0;
    for (const auto& patient : sorted_folders(folder)) {
      if (!is_patient(patient)) continue;
      const bool refers = count++ % kReferencePatients == 0;
      for (auto& sample : slices_of(patient, modality)) {
        if (!refers) {
          category.test.push_back(std::move(sample));
        } else if (!sample.anomalous()) {
          category.train.push_back(std::move(sample));
        }
      }
    }
    if (count < 2) {
      throw DataError("'" + folder.string() +
                      "' holds one patient; references and queries take two at least");
    }
    std::stable_sort(category.test.begin(), category.test.end(),
                     [](const Sample& a, const Sample& b) { return a.defect < b.defect; });
  }
  if (categories.empty()) {
    throw DataError(
        "'" + root.string() +
        "' holds no category in BraTS' layout (BraTS2021_00000/BraTS2021_00000_seg.nii.gz)");
  }
  return categories;
}

}  // namespace nagl
