#include "nagl/core/folder_lock.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "nagl/core/atomic_file.h"
#include "nagl/core/error.h"

namespace nagl {

FolderLock::FolderLock(const std::filesystem::path& folder, const std::string& what) {
  make_folder(folder);
  descriptor_ = ::open((folder / ".lock").c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0666);
  if (descriptor_ < 0) {
    throw DataError("cannot write into '" + folder.string() + "': " + std::strerror(errno));
  }
  if (::flock(descriptor_, LOCK_EX | LOCK_NB) != 0) {
    ::close(descriptor_);
    throw ConfigError("another process is " + what + " in '" + folder.string() +
                      "'; wait for it, or give another folder");
  }
}

FolderLock::~FolderLock() { ::close(descriptor_); }

}  // namespace nagl
