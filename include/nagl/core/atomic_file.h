#pragma once

#include <cstddef>
#include <filesystem>
#include <string_view>

#include "nagl/core/made_folders.h"

namespace nagl {

/// A file that appears whole or not at all: bytes go to a temporary name in the same folder, and
/// `commit` flushes them to the disk and renames. A file that was there before is kept until then,
/// and hands on its permissions; of a symbolic link, the file that it leads to is replaced. An
/// AtomicFile that goes out of scope uncommitted leaves nothing behind, and what a killed process
/// left is removed, an hour later, when the next one opens one there.
class AtomicFile {
 public:
  /// Opens the temporary file; folders that are missing are made.
  /// Throws DataError naming `path` if that cannot be done.
  explicit AtomicFile(std::filesystem::path path);
  ~AtomicFile();
  AtomicFile(const AtomicFile&) = delete;
  AtomicFile& operator=(const AtomicFile&) = delete;

  /// Appends bytes. Throws DataError (disk full, file too large).
  void write(const void* data, std::size_t size);
  void write(std::string_view text) { write(text.data(), text.size()); }

  /// Flushes, closes and renames. Throws DataError; then the old file is still there.
  /// @param flush false for a file that carries its own checksum and can be made again: many small
  ///        ones are then written much faster, and a power failure may leave one damaged
  void commit(bool flush = true);

 private:
  void discard() noexcept;

  std::filesystem::path path_;    ///< as given
  std::filesystem::path target_;  ///< where it leads to
  MadeFolders folders_;
  std::filesystem::path temporary_;
  int descriptor_ = -1;
};

/// Writes `bytes` to `path` through an AtomicFile.
void write_file(const std::filesystem::path& path, std::string_view bytes);

/// The whole file as bytes. Throws DataError naming the file if it is missing, a folder,
/// unreadable, or larger than `limit` bytes.
std::string read_file(const std::filesystem::path& path, std::size_t limit);

/// Makes a folder and its parents. Throws DataError naming it if that cannot be done.
void make_folder(const std::filesystem::path& folder);

}  // namespace nagl
