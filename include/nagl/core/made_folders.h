#pragma once

#include <filesystem>
#include <vector>

namespace nagl {

/// Makes a folder and those above it that are missing, and removes the ones that it made when it
/// goes out of scope, unless something has come into them meanwhile.
class MadeFolders {
 public:
  /// @throws DataError naming the folder if it cannot be made
  explicit MadeFolders(const std::filesystem::path& folder);
  ~MadeFolders();
  MadeFolders(MadeFolders&&) = default;
  MadeFolders& operator=(MadeFolders&&) = delete;

 private:
  std::vector<std::filesystem::path> made_;  ///< innermost first
};

}  // namespace nagl
