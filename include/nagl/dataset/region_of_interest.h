#pragma once

#include <filesystem>
#include <optional>

#include "nagl/dataset/pictures.h"

namespace nagl {

/// Finds the file that says where to look in a picture: one mask for all pictures, or a folder of
/// masks that are matched by stem (see StemIndex).
class RoiFinder {
 public:
  /// @param roi a mask picture or COCO file, a folder of masks or LabelMe files, or empty: there
  ///        are none
  /// @throws DataError if it is a folder without pictures
  explicit RoiFinder(std::filesystem::path roi = {});

  bool empty() const { return roi_.empty(); }
  /// The one mask picture for all pictures; nothing if each has its own, or none.
  std::optional<std::filesystem::path> shared() const;
  /// @return nothing if there are none @throws DataError naming a picture that lacks its own
  std::optional<std::filesystem::path> find(const PictureFile& picture) const;

 private:
  std::filesystem::path roi_;
  std::optional<StemIndex> index_;
};

}  // namespace nagl
