#pragma once

#include <filesystem>
#include <string>

namespace nagl {

/// Holds a folder for one process at a time: a lock on `.lock` in it, which the system lets go of
/// when the process ends, however it ends.
class FolderLock {
 public:
  /// Makes the folder if it is missing. @param what the process does in it, for the message
  /// @throws ConfigError if another process holds it, DataError if it cannot be written
  FolderLock(const std::filesystem::path& folder, const std::string& what);
  ~FolderLock();
  FolderLock(const FolderLock&) = delete;
  FolderLock& operator=(const FolderLock&) = delete;

 private:
  int descriptor_ = -1;
};

}  // namespace nagl
