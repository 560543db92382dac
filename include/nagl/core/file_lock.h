#pragma once

#include <filesystem>
#include <string>

#include "nagl/core/made_folders.h"

namespace nagl {

/// Holds something for one process at a time: a lock on a file of its own, which the system lets go
/// of when the process ends, however it ends. The file is removed when the lock is given back.
class FileLock {
 public:
  /// A folder: its lock is `.lock` in it. Makes the folder if it is missing; it is removed again if
  /// nothing but the lock came into it.
  /// @param what the process does there, for the message: "another process is ..."
  /// @throws ConfigError if another process holds it, DataError if it cannot be written
  static FileLock on_folder(const std::filesystem::path& folder, const std::string& what);
  /// A file that is read, changed and replaced: its lock is `.NAME.lock` beside it.
  static FileLock on_file(const std::filesystem::path& file, const std::string& what);

  ~FileLock();
  FileLock(FileLock&& other) noexcept;
  FileLock& operator=(FileLock&&) = delete;

 private:
  FileLock(const std::filesystem::path& lock, MadeFolders folders, const std::string& held);

  MadeFolders folders_;
  std::filesystem::path lock_;
  int descriptor_ = -1;
};

}  // namespace nagl
