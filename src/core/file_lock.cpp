#include "nagl/core/file_lock.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "nagl/core/atomic_file.h"
#include "nagl/core/error.h"

namespace nagl {
namespace {

namespace fs = std::filesystem;

/// Whether the file that is open is still the one of that name.
bool is_still(int descriptor, const fs::path& path) {
  struct stat open {
  }, named{};
  return ::fstat(descriptor, &open) == 0 && ::lstat(path.c_str(), &named) == 0 &&
         open.st_dev == named.st_dev && open.st_ino == named.st_ino;
}

}  // namespace

FileLock FileLock::on_folder(const fs::path& folder, const std::string& what) {
  return FileLock(folder / ".lock", MadeFolders(folder),
                  fmt::format("another process is {} in '{}'; wait for it, or give another folder",
                              what, folder.string()));
}

FileLock FileLock::on_file(const fs::path& file, const std::string& what) {
  std::error_code error;
  fs::path real = fs::weakly_canonical(file, error);  // a link to it is the same file
  if (error) real = file;
  constexpr std::size_t kLongestName = 200;  // so that the lock's own is none too long
  const fs::path folder = real.parent_path();
  const std::string name = real.filename().string().substr(0, kLongestName);
  return FileLock(
      folder / fmt::format(".{}.lock", name), MadeFolders(folder),
      fmt::format("another process is {} '{}'; try again when it is done", what, file.string()));
}

FileLock::FileLock(const fs::path& lock, MadeFolders folders, const std::string& held)
    : folders_(std::move(folders)), lock_(lock) {
  const auto fail = [&](auto&& error) {
    if (descriptor_ >= 0) ::close(descriptor_);
    descriptor_ = -1;
    throw error;
  };
  for (;;) {
    descriptor_ = ::open(lock_.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0666);
    if (descriptor_ < 0) {
      fail(DataError("cannot write into '" + lock_.parent_path().string() +
                     "': " + std::strerror(errno)));
    }
    int result = 0;
    do {
      result = ::flock(descriptor_, LOCK_EX | LOCK_NB);
    } while (result != 0 && errno == EINTR);
    if (result != 0 && errno == EWOULDBLOCK) fail(ConfigError(held));
    if (result != 0) return;  // a file system without locks: as good as it gets
    if (is_still(descriptor_, lock_)) return;
    ::close(descriptor_);  // its holder gave it back, and removed it, meanwhile
  }
}

FileLock::FileLock(FileLock&& other) noexcept
    : folders_(std::move(other.folders_)),
      lock_(std::move(other.lock_)),
      descriptor_(std::exchange(other.descriptor_, -1)) {}

FileLock::~FileLock() {
  if (descriptor_ < 0) return;
  ::unlink(lock_.c_str());  // while it is held, so that nobody holds a file without a name
  ::close(descriptor_);
}

}  // namespace nagl
