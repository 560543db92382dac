#pragma once

#include <filesystem>
#include <map>
#include <memory>
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

/// The file that a list names: `text` below `folder` (empty: as it is). Lists written on Windows
/// have backslashes, which count as slashes where no file is called that.
std::filesystem::path listed_path(const std::filesystem::path& folder, const std::string& text);

/// Whether the extension is one of a picture format (png, jpg, bmp, tiff, webp, ...); hidden files
/// are none.
bool has_picture_extension(const std::filesystem::path& path);

/// The pictures that `path` stands for: itself if it is a file (a volume, or all pages of a TIFF,
/// as `pictures_in` has it), else all pictures and slices of volumes below the folder, recursively
/// (also through symbolic links), sorted by path. Masks among them are left out: files called
/// `x_mask`, `x_GT`, `x_label` and the like beside a picture `x`, and those of its name in a folder
/// of masks (see `is_mask_folder`) at the same place beside it.
/// @param masks gets those that were left out
/// @throws DataError if it does not exist or the folder has no pictures.
std::vector<PictureFile> list_pictures(const std::filesystem::path& path,
                                       std::vector<PictureFile>* masks = nullptr);

/// Whether a file is called like a mask of a picture beside it: `x_mask.png` beside `x.png`.
bool is_mask_beside_picture(const std::filesystem::path& path);

/// Whether a folder is one of masks, by its name: `masks`, `ground_truth` or `gt`, or `X_mask` and
/// the like beside a folder `X`.
bool is_mask_folder(const std::filesystem::path& folder);

/// Whether `path` is a folder with a picture anywhere below it.
bool holds_pictures(const std::filesystem::path& path);

/// Several paths, one after the other.
std::vector<PictureFile> list_pictures(const std::vector<std::filesystem::path>& paths,
                                       std::vector<PictureFile>* masks = nullptr);

/// Pictures in a folder (masks, regions of interest) that are looked up by the stem of another.
class StemIndex {
 public:
  /// @throws DataError as `list_pictures`.
  /// @param with_annotations whether LabelMe files (json) count too
  /// @param exclusive whether each belongs to one picture alone, as masks of defects do
  explicit StemIndex(const std::filesystem::path& folder, bool with_annotations = false,
                     bool exclusive = true);

  /// The mask that belongs to `picture`: the one at the same place below the folder, up to the
  /// extension and `_mask`, `_GT`, `_label` or the like. Else the only one of that name anywhere
  /// below it, rather in a folder called like the picture's own; but none in a folder that stands
  /// for other pictures, since one of that name is beside the picture's own.
  /// @return nothing if there is none
  /// @throws DataError naming both masks if several could belong to the picture, or both pictures
  /// if
  ///         the mask was found for another one before
  std::optional<std::filesystem::path> find(const PictureFile& picture) const;

 private:
  struct Mask {
    std::filesystem::path path, place;  ///< place: the folder below the index's
    std::string stem;
    std::string part;  ///< a slice of a volume; empty: a whole file
  };
  struct Claims;

  std::optional<std::filesystem::path> candidate(const PictureFile& picture) const;

  std::multimap<std::string, Mask> masks_;  ///< by stem, as it is and without its ending
  std::shared_ptr<Claims> claims_;  ///< the picture that each mask was found for, if exclusive
};

/// The reference pictures that `paths` stand for, each once: the first `shots` in the order of
/// `list_pictures`, or all of them if that is 0. @throws DataError if there are fewer.
std::vector<PictureFile> choose_references(const std::vector<std::filesystem::path>& paths,
                                           std::size_t shots,
                                           std::vector<PictureFile>* masks = nullptr);

/// Finds each picture's mask or LabelMe file in a folder (see StemIndex), which may be that of the
/// pictures; a COCO file holds those of all of them. @throws DataError naming a picture that
/// has none.
std::vector<MaskedPicture> pair_with_masks(const std::vector<PictureFile>& pictures,
                                           const std::filesystem::path& masks);

}  // namespace nagl
