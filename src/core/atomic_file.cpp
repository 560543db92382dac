#include "nagl/core/atomic_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstring>
#include <string>

#include "nagl/core/error.h"

namespace nagl {
namespace {

std::string reason() { return std::strerror(errno); }

[[noreturn]] void fail_to_write(const std::filesystem::path& path) {
  throw DataError("cannot write '" + path.string() + "': " + reason() +
                  "; check the folder's permissions and the free disk space");
}

struct Descriptor {
  int value;
  ~Descriptor() {
    if (value >= 0) ::close(value);
  }
};

}  // namespace

AtomicFile::AtomicFile(std::filesystem::path path) : path_(std::move(path)) {
  static std::atomic<unsigned> counter{0};
  if (path_.has_parent_path()) make_folder(path_.parent_path());
  // Short, so that a file whose own name is as long as names may be can be written too.
  std::string name = ".nagl-";
  name.append(std::to_string(::getpid())).append("-").append(std::to_string(counter++));
  temporary_ = path_.parent_path() / name.append(".tmp");
  descriptor_ = ::open(temporary_.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
  if (descriptor_ < 0) fail_to_write(path_);
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
  if (::close(descriptor) != 0 || ::rename(temporary_.c_str(), path_.c_str()) != 0) {
    const int error = errno;
    ::unlink(temporary_.c_str());
    errno = error;
    fail_to_write(path_);
  }
}

void write_file(const std::filesystem::path& path, std::string_view bytes) {
  AtomicFile file(path);
  file.write(bytes);
  file.commit();
}

std::string read_file(const std::filesystem::path& path, std::size_t limit) {
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

void make_folder(const std::filesystem::path& folder) {
  std::error_code error;
  std::filesystem::create_directories(folder, error);
  std::error_code unknown;
  if (error || !std::filesystem::is_directory(folder, unknown)) {
    throw DataError("cannot make the folder '" + folder.string() +
                    "': " + (error ? error.message() : "a file of that name is in the way") +
                    "; check the path and its permissions");
  }
}

}  // namespace nagl
