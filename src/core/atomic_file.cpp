#include "nagl/core/atomic_file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstring>
#include <mutex>
#include <random>
#include <set>
#include <string>

#include "nagl/core/error.h"

namespace nagl {
namespace {

namespace fs = std::filesystem;

std::string reason() { return std::strerror(errno); }

[[noreturn]] void fail_to_write(const fs::path& path) {
  throw DataError("cannot write '" + path.string() + "': " + reason() +
                  "; check the folder's permissions and the free disk space");
}

struct Descriptor {
  int value;
  ~Descriptor() {
    if (value >= 0) ::close(value);
  }
};

constexpr const char *kBegin = ".nagl-", *kEnd = ".tmp";

/// Where a chain of symbolic links leads to, also where nothing is there yet.
fs::path target_of(fs::path path) {
  std::error_code error;
  for (int links = 0; links < 40 && fs::is_symlink(path, error); ++links) {
    const fs::path next = fs::read_symlink(path, error);
    path = next.is_absolute() ? next : path.parent_path() / next;
  }
  return path;
}

/// Removes temporary files of processes that were killed: nobody holds them, and they were not
/// written to for an hour, since other machines' locks may not be seen. Looks into each folder
/// once.
void remove_left_behind(const fs::path& folder) {
  static std::mutex mutex;
  static std::set<fs::path> seen;
  {
    const std::lock_guard guard(mutex);
    if (!seen.insert(folder).second) return;
  }
  std::error_code error;
  const auto now = fs::file_time_type::clock::now();
  for (const auto& entry : fs::directory_iterator(folder.empty() ? "." : folder, error)) {
    const std::string name = entry.path().filename().string();
    if (!name.starts_with(kBegin) || !name.ends_with(kEnd)) continue;
    const auto written = entry.last_write_time(error);
    if (error || now - written < std::chrono::hours(1)) continue;
    const Descriptor file{::open(entry.path().c_str(), O_RDONLY | O_NOFOLLOW | O_CLOEXEC)};
    if (file.value < 0 || ::flock(file.value, LOCK_EX | LOCK_NB) != 0) continue;
    ::unlink(entry.path().c_str());
  }
}

}  // namespace

AtomicFile::AtomicFile(fs::path path)
    : path_(std::move(path)), target_(target_of(path_)), folders_(target_.parent_path()) {
  const fs::path folder = target_.parent_path();
  remove_left_behind(folder);
  // Short, so that a file whose own name is as long as names may be can be written too.
  std::random_device random;
  for (int attempt = 0; descriptor_ < 0; ++attempt) {
    temporary_ = folder / fmt::format("{}{:08x}{}", kBegin, random(), kEnd);
    descriptor_ =
        ::open(temporary_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0666);
    if (descriptor_ < 0 && (errno != EEXIST || attempt == 100)) fail_to_write(path_);
  }
  ::flock(descriptor_, LOCK_EX | LOCK_NB);  // tells others that it is in use
  struct stat before {};
  if (::stat(target_.c_str(), &before) == 0 && S_ISREG(before.st_mode)) {
    ::fchmod(descriptor_, before.st_mode & 07777);
  }
}

AtomicFile::~AtomicFile() { discard(); }

void AtomicFile::discard() noexcept {
  if (descriptor_ < 0) return;
  ::close(descriptor_);
  descriptor_ = -1;
  ::unlink(temporary_.c_str());
}

void AtomicFile::write(const void* data, std::size_t size) {
  const char* bytes = static_cast<const char*>(data);
  while (size > 0) {
    const ssize_t written = ::write(descriptor_, bytes, size);
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) fail_to_write(path_);
    bytes += written;
    size -= static_cast<std::size_t>(written);
  }
}

void AtomicFile::commit(bool flush) {
  if (flush && ::fsync(descriptor_) != 0) fail_to_write(path_);
  const int descriptor = descriptor_;
  descriptor_ = -1;
  if (::close(descriptor) != 0 || ::rename(temporary_.c_str(), target_.c_str()) != 0) {
    const int error = errno;
    ::unlink(temporary_.c_str());
    errno = error;
    fail_to_write(path_);
  }
}

void write_file(const fs::path& path, std::string_view bytes) {
  AtomicFile file(path);
  file.write(bytes);
  file.commit();
}

std::string read_file(const fs::path& path, std::size_t limit) {
  const auto fail = [&path](const std::string& why) {
    throw DataError("cannot read '" + path.string() + "': " + why);
  };
  const Descriptor file{::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK)};
  if (file.value < 0) fail(reason());
  struct stat status {};
  if (::fstat(file.value, &status) != 0) fail(reason());
  if (!S_ISREG(status.st_mode)) fail("not a regular file");
  const auto size = static_cast<std::size_t>(status.st_size);
  if (size > limit) {
    fail("its " + std::to_string(size) + " bytes are more than the " + std::to_string(limit) +
         " accepted");
  }
  std::string bytes(size, '\0');
  std::size_t done = 0;
  while (done < size) {
    const ssize_t got = ::read(file.value, bytes.data() + done, size - done);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) fail(reason());
    if (got == 0) fail("it became shorter while it was read");
    done += static_cast<std::size_t>(got);
  }
  return bytes;
}

void make_folder(const fs::path& folder) {
  std::error_code error;
  fs::create_directories(folder, error);
  std::error_code unknown;
  if (error || !fs::is_directory(folder, unknown)) {
    throw DataError("cannot make the folder '" + folder.string() +
                    "': " + (error ? error.message() : "a file of that name is in the way") +
                    "; check the path and its permissions");
  }
}

}  // namespace nagl
