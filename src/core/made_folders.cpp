#include "nagl/core/made_folders.h"

#include "nagl/core/atomic_file.h"

namespace nagl {

MadeFolders::MadeFolders(const std::filesystem::path& folder) {
  std::error_code error;
  for (auto path = folder; !path.empty() && !std::filesystem::exists(path, error);
       path = path.parent_path()) {
    if (path.has_filename()) made_.push_back(path);  // not what a trailing / leaves
  }
  if (!folder.empty()) make_folder(folder);
}

MadeFolders::~MadeFolders() {
  std::error_code error;
  for (const auto& folder : made_) std::filesystem::remove(folder, error);  // fails unless empty
}

}  // namespace nagl
