#pragma once

#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "nagl/dataset/pictures.h"

namespace nagl {

/// The defect type of good pictures.
inline constexpr const char* kGood = "good";

/// One picture of a data set.
struct Sample {
  std::filesystem::path path;
  std::string defect = kGood;                 ///< defect type; `good` if there is none
  std::optional<std::filesystem::path> mask;  ///< ground truth of a defective picture, where known

  bool anomalous() const { return defect != kGood; }
};

/// A kind of part: good pictures to refer to, and pictures to test on.
struct Category {
  std::string name;
  std::filesystem::path folder;
  std::vector<Sample> train;  ///< good pictures, sorted by path
  std::vector<Sample> test;   ///< good and defective pictures, sorted by defect type and path

  /// Defect types of `test`, sorted, without `good`.
  std::vector<std::string> defects() const;
};

/// A domain: one or more categories, sorted by name.
struct Dataset {
  std::vector<Category> categories;
};

/// Reads MVTec AD's layout (Bergmann et al., CVPR 2019): a category folder with `train/good`,
/// `test/TYPE` and `ground_truth/TYPE`, or a folder of such folders. Masks are matched by stem,
/// with or without `_mask`.
/// @throws DataError naming the folder if it has no category, or a category has no test pictures
Dataset read_mvtec(const std::filesystem::path& root);

/// Several such folders as one domain. Categories whose names are the same get the name of the
/// folder above in front: `board/scratch`.
/// @throws DataError as above, and if a category is named twice
Dataset read_mvtec(const std::vector<std::filesystem::path>& roots);

/// Tells from a picture's place in MVTec's layout (`.../test/TYPE/.../x.png`,
/// `.../train/good/x.png`) its label and mask. Remembers the folders of masks that it has listed.
class MvtecLocator {
 public:
  /// @return nothing for a picture that stands elsewhere
  /// @throws DataError if several masks could belong to it
  std::optional<Sample> find(const std::filesystem::path& picture);

 private:
  std::map<std::filesystem::path, std::optional<StemIndex>> masks_;
};

}  // namespace nagl
