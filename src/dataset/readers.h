#pragma once

#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "nagl/dataset/dataset.h"

namespace nagl {

/// One layout: whether something on disk has it, and how it is read.
struct DatasetReader {
  DatasetFormat format;
  bool (*recognises)(const std::filesystem::path& root);
  std::function<std::vector<Category>(const std::filesystem::path& root)> read;
};

bool is_mvtec(const std::filesystem::path& root);
std::vector<Category> read_mvtec(const std::filesystem::path& root);
bool is_mvtec_ad2(const std::filesystem::path& root);
std::vector<Category> read_mvtec_ad2(const std::filesystem::path& root);
bool is_mvtec_3d(const std::filesystem::path& root);
std::vector<Category> read_mvtec_3d(const std::filesystem::path& root);
bool is_ksdd(const std::filesystem::path& root);
std::vector<Category> read_ksdd(const std::filesystem::path& root);
bool is_ksdd2(const std::filesystem::path& root);
std::vector<Category> read_ksdd2(const std::filesystem::path& root);
bool is_dagm(const std::filesystem::path& root);
std::vector<Category> read_dagm(const std::filesystem::path& root);
bool is_magnetic_tile(const std::filesystem::path& root);
std::vector<Category> read_magnetic_tile(const std::filesystem::path& root);
bool is_visa(const std::filesystem::path& root);
std::vector<Category> read_visa(const std::filesystem::path& root);
bool is_bmad(const std::filesystem::path& root);
std::vector<Category> read_bmad(const std::filesystem::path& root);
bool is_real_iad(const std::filesystem::path& root);
std::vector<Category> read_real_iad(const std::filesystem::path& root);
bool is_folders(const std::filesystem::path& root);
std::vector<Category> read_folders(const std::filesystem::path& root);
bool is_brats(const std::filesystem::path& root);
std::vector<Category> read_brats(const std::filesystem::path& root, const std::string& modality);
bool is_manifest(const std::filesystem::path& root);
std::vector<Category> read_manifest(const std::filesystem::path& root);

// What the readers share.

bool is_folder(const std::filesystem::path& path);
bool is_file(const std::filesystem::path& path);
/// The type of a defect of which nothing is said.
inline constexpr const char* kUntypedDefect = "defect";
/// The entry of a folder with that name, in whatever case; `folder / name` if there is none.
std::filesystem::path named_in(const std::filesystem::path& folder, const std::string& name);
/// Whether a folder or label is one of good parts: good, normal, healthy, ok, in any case.
bool is_good_name(const std::string& name);
/// The folders in a folder, sorted, without hidden ones. @throws DataError if it cannot be listed
std::vector<std::filesystem::path> sorted_folders(const std::filesystem::path& folder);
/// `root` itself if `fits`, else the folders in it that do.
std::vector<std::filesystem::path> category_folders(const std::filesystem::path& root,
                                                    bool (*fits)(const std::filesystem::path&));
/// The categories that `root` is or holds, by `fits`. @throws DataError if there is none
/// @param layout what it would have to be, for the message
std::vector<Category> read_categories(const std::filesystem::path& root,
                                      bool (*fits)(const std::filesystem::path&),
                                      Category (*read)(const std::filesystem::path&),
                                      const std::string& layout);
/// A folder's own name, also for `.` and `x/`.
std::string name_of(const std::filesystem::path& folder);
/// A category with the pictures below `folder` as its good ones, or nothing if it is no folder.
std::vector<Sample> good_samples(const std::filesystem::path& folder);
/// The masks in a folder, or nothing if there are none.
std::optional<StemIndex> masks_in(const std::filesystem::path& folder);
/// The pictures below a folder as samples of a defect type, with their masks where there are some.
std::vector<Sample> defect_samples(const std::filesystem::path& folder, const std::string& type,
                                   const std::optional<StemIndex>& masks);
/// A picture whose mask says whether it is a good one: one that marks nothing is none.
/// @param sample with a defect and one mask @throws DataError if the mask cannot be read
Sample labelled_by(Sample sample);
/// The pictures of a folder with masks beside them (`x.png`, `x_GT.png`), as `labelled_by` has it.
/// @throws DataError naming a picture without a mask
std::vector<Sample> labelled_beside(const std::filesystem::path& folder, const std::string& type);
/// As Category has them: by defect type and path.
void sort_samples(std::vector<Sample>& samples);
/// Puts listed samples into categories, sorted as Category wants them.
class CategoryCollector {
 public:
  /// @param root becomes the folder of every category
  explicit CategoryCollector(std::filesystem::path root) : root_(std::move(root)) {}
  void add(const std::string& category, bool train, Sample sample);
  /// @throws DataError naming `source` if there is no category, or one has no test pictures
  std::vector<Category> take(const std::filesystem::path& source);

 private:
  std::filesystem::path root_;
  std::map<std::string, Category> categories_;
};
/// Throws DataError naming the list and the picture unless the picture is there.
void check_listed(const std::filesystem::path& list, const std::filesystem::path& picture);

}  // namespace nagl
