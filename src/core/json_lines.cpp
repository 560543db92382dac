#include "nagl/core/json_lines.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>

#include "nagl/core/error.h"

namespace nagl {
namespace {

namespace fs = std::filesystem;

/// Where the last line that has an end, ends.
off_t whole_lines(int descriptor, off_t size) {
  char block[4096];
  while (size > 0) {
    const auto wanted = std::min<off_t>(size, sizeof(block));
    if (::pread(descriptor, block, static_cast<std::size_t>(wanted), size - wanted) != wanted) {
      return size;
    }
    for (off_t i = wanted; i > 0; --i) {
      if (block[i - 1] == '\n') return size - wanted + i;
    }
    size -= wanted;
  }
  return 0;
}

/// Cuts the file back to what it was before a line that did not get there whole.
void cut_back(int descriptor) {
  struct stat status {};
  if (::fstat(descriptor, &status) != 0) return;
  const off_t whole = whole_lines(descriptor, status.st_size);
  if (whole < status.st_size) static_cast<void>(!::ftruncate(descriptor, whole));
}

/// A last line that is whole but for its end gets it; one that is not is cut off.
void end_last_line(int descriptor) {
  struct stat status {};
  if (::fstat(descriptor, &status) != 0) return;
  const off_t begin = whole_lines(descriptor, status.st_size);
  std::string last(static_cast<std::size_t>(status.st_size - begin), '\0');
  const auto size = static_cast<ssize_t>(last.size());
  if (size == 0 || ::pread(descriptor, last.data(), last.size(), begin) != size) return;
  if (try_parse_json(last)) {
    static_cast<void>(!::write(descriptor, "\n", 1));
  } else {
    cut_back(descriptor);
  }
}

/// Held while a file is looked at and written.
class Held {
 public:
  explicit Held(int descriptor) : descriptor_(descriptor) { ::flock(descriptor_, LOCK_EX); }
  ~Held() { ::flock(descriptor_, LOCK_UN); }
  Held(const Held&) = delete;
  Held& operator=(const Held&) = delete;

 private:
  int descriptor_;
};

}  // namespace

std::string json_line(const Json& value) { return dump_json(value) + '\n'; }

JsonLinesFile::JsonLinesFile(const fs::path& path)
    : path_(path),
      descriptor_(::open(path.c_str(), O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0666)) {
  if (descriptor_ < 0) fail();
  const Held held(descriptor_);
  end_last_line(descriptor_);
}

JsonLinesFile::~JsonLinesFile() { ::close(descriptor_); }

void JsonLinesFile::append(const Json& line) {
  const std::string text = json_line(line);
  const Held held(descriptor_);
  if (::write(descriptor_, text.data(), text.size()) == static_cast<ssize_t>(text.size())) return;
  cut_back(descriptor_);
  fail();
}

void JsonLinesFile::fail() const {
  throw DataError("cannot write '" + path_.string() +
                  "'; check the folder's permissions and the free disk space");
}

std::vector<Json> read_json_lines(const fs::path& path) {
  std::error_code error;
  std::ifstream file(path);
  if (!file && !fs::exists(path, error)) return {};
  if (!file || fs::is_directory(path, error)) {
    throw DataError("cannot read '" + path.string() + "'");
  }
  std::vector<Json> values;
  for (std::string line; std::getline(file, line);) {
    if (auto value = try_parse_json(line)) values.push_back(std::move(*value));
  }
  return values;
}

}  // namespace nagl
