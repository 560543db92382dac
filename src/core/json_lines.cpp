#include "nagl/core/json_lines.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <fstream>

#include "nagl/core/error.h"

namespace nagl {
namespace {

namespace fs = std::filesystem;

bool ends_within_a_line(int descriptor) {
  struct stat status {};
  if (::fstat(descriptor, &status) != 0 || status.st_size == 0) return false;
  char last = '\n';
  return ::pread(descriptor, &last, 1, status.st_size - 1) == 1 && last != '\n';
}

}  // namespace

std::string json_line(const Json& value) { return dump_json(value) + '\n'; }

JsonLinesFile::JsonLinesFile(const fs::path& path)
    : path_(path),
      descriptor_(::open(path.c_str(), O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0666)) {
  if (descriptor_ < 0) fail();
  torn_ = ends_within_a_line(descriptor_);
}

JsonLinesFile::~JsonLinesFile() { ::close(descriptor_); }

void JsonLinesFile::append(const Json& line) {
  std::string text = json_line(line);
  if (torn_) text.insert(text.begin(), '\n');
  const ssize_t written = ::write(descriptor_, text.data(), text.size());
  if (written > 0) torn_ = written < static_cast<ssize_t>(text.size());
  if (written != static_cast<ssize_t>(text.size())) fail();
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
    Json value = Json::parse(line, nullptr, /*allow_exceptions=*/false);
    if (!value.is_discarded()) values.push_back(std::move(value));
  }
  return values;
}

}  // namespace nagl
