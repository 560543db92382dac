#pragma once

#include <filesystem>
#include <string>

namespace nagl {

/// A picture within a file of several: `volume.nii.gz#axial:77`, `pages.tif#3`.
struct FilePart {
  std::filesystem::path file;
  std::string part;  ///< what follows the `#`; empty: the whole file
};

/// What a path names. One that is there under its whole name is a whole file, and so is one of
/// which nothing before a `#` is a file.
FilePart file_part_of(const std::filesystem::path& path);

/// The file that a path names, or a part of.
std::filesystem::path file_of(const std::filesystem::path& path);

/// A path without its extension, for names of files that are made of it: of a part
/// `volume-axial-077`.
/// @param path as it would be found below some folder; need not be there
std::filesystem::path stem_of(const std::filesystem::path& path);

/// SHA-256 of a whole file, or of a file's and what the part is called, so that parts of a file are
/// told apart. @throws DataError naming the file if it cannot be read
std::string sha256_of_part(const std::filesystem::path& path);

}  // namespace nagl
