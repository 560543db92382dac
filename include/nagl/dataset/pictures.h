#pragma once

#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "nagl/image/image.h"

namespace nagl {

/// A picture and the folder it was found in (empty for one that was named itself).
struct PictureFile {
  std::filesystem::path path;
  std::filesystem::path folder;

  /// The path below the folder it was found in; the file name for one that was named itself.
  std::filesystem::path relative() const;
};

/// Whether the extension is one of a picture format (png, jpg, bmp, tiff, webp, ...); hidden files
/// are none.
bool has_picture_extension(const std::filesystem::path& path);

/// The pictures that `path` stands for: itself if it is a file, else all pictures below the folder,
/// recursively (also through symbolic links), sorted by path. @throws DataError if it does not
/// exist or the folder has no pictures.
std::vector<PictureFile> list_pictures(const std::filesystem::path& path);

/// Whether `path` is a folder with a picture anywhere below it.
bool holds_pictures(const std::filesystem::path& path);

/// Several paths, one after the other.
std::vector<PictureFile> list_pictures(const std::vector<std::filesystem::path>& paths);

/// Pictures in a folder (masks, regions of interest) that are looked up by the stem of another.
class StemIndex {
 public:
  /// @throws DataError as `list_pictures`.
  /// @param with_annotations whether LabelMe files (json) count too
  explicit StemIndex(const std::filesystem::path& folder, bool with_annotations = false);

  /// The picture that belongs to `picture`: the same path below the folder, up to the extension and
  /// a trailing `_mask`; else the only one anywhere below the folder with that stem.
  /// @return nothing if there is none
  /// @throws DataError naming both candidates if there are several
  std::optional<std::filesystem::path> find(const PictureFile& picture) const;

 private:
  std::filesystem::path folder_;
  /// The pictures by their path below the folder and by their name, both up to extension and
  /// `_mask`.
  std::multimap<std::filesystem::path, std::filesystem::path> by_place_, by_name_;
};

/// The reference pictures that `paths` stand for, each once: the first `shots` in the order of
/// `list_pictures`, or all of them if that is 0. @throws DataError if there are fewer.
std::vector<PictureFile> choose_references(const std::vector<std::filesystem::path>& paths,
                                           std::size_t shots);

/// Finds each picture's mask or LabelMe file in a folder (see StemIndex), which may be that of the
/// pictures; a COCO file holds those of all of them. @throws DataError naming a picture that
/// has none.
std::vector<MaskedPicture> pair_with_masks(const std::vector<PictureFile>& pictures,
                                           const std::filesystem::path& masks);

}  // namespace nagl
