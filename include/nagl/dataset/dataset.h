#pragma once

#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "nagl/core/enum_names.h"
#include "nagl/dataset/pictures.h"

namespace nagl {

/// The defect type of good pictures.
inline constexpr const char* kGood = "good";

/// One picture of a data set.
struct Sample {
  std::filesystem::path path;
  std::string defect = kGood;  ///< defect type; `good` if there is none
  /// Ground truth of a defective picture, where known; mostly one mask, several in MVTec LOCO.
  std::vector<std::filesystem::path> masks;

  /// What several pictures are views of (Real-IAD's samples), unique in a category; empty: itself.
  std::string part = {};

  bool anomalous() const { return defect != kGood; }
};

/// A kind of part: good pictures to refer to, and pictures to test on.
struct Category {
  std::string name;
  std::filesystem::path folder;
  std::vector<Sample> train;  ///< good pictures, sorted by path; empty where there is no such split
  std::vector<Sample> test;   ///< good and defective pictures, sorted by defect type and path
  /// Good pictures that are there to choose thresholds by; mostly none.
  std::vector<Sample> validation;
  /// Pictures of which only the authors know what they show (MVTec AD 2), by split.
  std::map<std::string, std::vector<std::filesystem::path>> unlabelled;

  /// Defect types of `test`, sorted, without `good`.
  std::vector<std::string> defects() const;
};

/// How a data set lies on disk.
enum class DatasetFormat {
  kAuto,          ///< whichever of these it is
  kMvtec,         ///< MVTec AD's (CVPR 2019), as MPDD, BTAD and MVTec LOCO have it too
  kMvtecAd2,      ///< MVTec AD 2's `test_public`, with private test sets (arXiv 2503.21622)
  kMvtec3d,       ///< the pictures of MVTec 3D-AD (VISAPP 2022): `test/TYPE/{rgb,gt}`
  kVisa,          ///< VisA's `split_csv/1cls.csv` (ECCV 2022)
  kBmad,          ///< BMAD's `test/Ungood/{img,label}` (CVPRW 2024), e.g. BraTS
  kBrats,         ///< volumes of BraTS as its authors ship it (arXiv 2107.02314)
  kRealIad,       ///< Real-IAD's JSON files (CVPR 2024)
  kKsdd,          ///< KolektorSDD's `kos01/Part0.jpg` (JIM 2019)
  kKsdd2,         ///< KolektorSDD2's `train/10000.png` beside `10000_GT.png` (2021)
  kDagm,          ///< DAGM 2007's `Class1/Train/Label`
  kMagneticTile,  ///< `MT_Blowhole/Imgs/*.jpg` beside `*.png` (2018)
  kFolders,  ///< a folder `good` beside one folder a defect type, masks in `masks/` or `TYPE_mask/`
  kManifest,  ///< a JSON or CSV file that lists pictures
};
constexpr auto names_of(DatasetFormat) {
  return EnumNames<DatasetFormat, 14>{"data set format",
                                      {{{DatasetFormat::kAuto, "auto"},
                                        {DatasetFormat::kMvtec, "mvtec"},
                                        {DatasetFormat::kMvtecAd2, "mvtec_ad2"},
                                        {DatasetFormat::kMvtec3d, "mvtec_3d"},
                                        {DatasetFormat::kVisa, "visa"},
                                        {DatasetFormat::kBmad, "bmad"},
                                        {DatasetFormat::kBrats, "brats"},
                                        {DatasetFormat::kRealIad, "real_iad"},
                                        {DatasetFormat::kKsdd, "ksdd"},
                                        {DatasetFormat::kKsdd2, "ksdd2"},
                                        {DatasetFormat::kDagm, "dagm"},
                                        {DatasetFormat::kMagneticTile, "magnetic_tile"},
                                        {DatasetFormat::kFolders, "folders"},
                                        {DatasetFormat::kManifest, "manifest"}}}};
}

/// A domain: one or more categories, sorted by name.
struct Dataset {
  DatasetFormat format = DatasetFormat::kAuto;  ///< what it was read as; auto: several formats
  std::vector<Category> categories;
};

/// The modality of medical volumes that is read where nobody says which.
inline constexpr const char* kUsualModality = "flair";

/// Reads a data set as its authors ship it. Masks are matched by stem, with or without `_mask`,
/// whatever their extension. Names of folders count in any case.
///
/// - mvtec: a category folder with `train/good`, `test/TYPE`, `ground_truth/TYPE`, or a folder of
///   them; `ok` counts as `good` (BTAD); a folder `ground_truth/TYPE/STEM/` holds several masks of
///   one picture (LOCO).
/// - mvtec_ad2: `train/good`, `validation/good`, `test_public/{good,bad}`,
///   `test_public/ground_truth/bad`; the private test sets have no truth.
/// - mvtec_3d: `train/good/rgb`, `validation/good/rgb`, `test/TYPE/{rgb,gt}`.
/// - ksdd, ksdd2, dagm, magnetic_tile: the mask beside a picture, or in `Label/`, says whether it
///   shows a defect; one that is empty says that it does not. Defective pictures of a training
///   split are left out. ksdd and magnetic_tile have no training split.
/// - visa: the folder that holds `split_csv/1cls.csv`, or that file.
/// - bmad: `train/good[/img]`, `test/good[/img]`, `test/Ungood[/img]` and `test/Ungood/label`, or a
///   folder of such folders; `valid` is left alone.
/// - brats: `PATIENT/PATIENT_{flair,t1,t1ce,t2,seg}.nii.gz`: axial slices within the brain of one
///   modality; those in which `seg` marks something show a tumour. Healthy slices of every fifth
///   patient are the training split, the other patients are there to test on; a patient is the part
///   (`Sample::part`) of its slices.
/// - real_iad: a folder with the JSON files (anywhere in it) and the pictures, or one JSON file.
/// - folders: `good` (or `normal`, `healthy`, `ok`) beside a folder a defect type, or a folder of
///   such folders; there is no training split.
/// - manifest: a CSV file with the columns path, and optionally label, mask, category, type, split;
///   or a JSON list of objects with these keys (or an object with a list `pictures`). Paths are
///   relative to the file; several masks are a list, or separated by `;`. `label` is `good` (also
///   normal, ok, 0) or `defect` (anomaly, bad, 1); `split` is `test`, unless it says `train`.
///
/// @param modality of brats
/// @throws DataError naming the file or folder if it is none of these, or is not whole
Dataset read_dataset(const std::filesystem::path& root, DatasetFormat format = DatasetFormat::kAuto,
                     const std::string& modality = kUsualModality);

/// Several such data sets as one domain. Categories whose names are the same get the name of the
/// folder above in front: `board/scratch`.
/// @throws DataError as above, and if a category is named twice
Dataset read_dataset(const std::vector<std::filesystem::path>& roots,
                     DatasetFormat format = DatasetFormat::kAuto,
                     const std::string& modality = kUsualModality);

/// The masks of one defect type in MVTec's layout: `ground_truth/TYPE/STEM_mask.png`, or a folder
/// `ground_truth/TYPE/STEM/` with several (LOCO). Lists the folder once.
class MvtecMasks {
 public:
  MvtecMasks(const std::filesystem::path& category, const std::string& type);

  /// @return empty where there is none @throws DataError if several masks could belong to it
  std::vector<std::filesystem::path> find(const PictureFile& picture);

 private:
  std::filesystem::path folder_;
  std::optional<StemIndex> index_;
};

/// Tells from a picture's place in MVTec's layout (`.../test/TYPE/.../x.png`,
/// `.../train/good/x.png`) its label and masks. Remembers the folders of masks that it has listed.
class MvtecLocator {
 public:
  /// @return nothing for a picture that stands elsewhere
  /// @throws DataError if several masks could belong to it
  std::optional<Sample> find(const std::filesystem::path& picture);

 private:
  std::map<std::filesystem::path, MvtecMasks> masks_;  ///< by folder of pictures
  /// The category that each folder of pictures is in; empty: in none.
  std::map<std::filesystem::path, std::filesystem::path> categories_;
};

}  // namespace nagl
