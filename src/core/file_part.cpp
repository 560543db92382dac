#include "nagl/core/file_part.h"

#include <algorithm>
#include <cctype>

#include "nagl/core/recent_files.h"
#include "nagl/core/sha256.h"
#include "nagl/core/text.h"

namespace nagl {
namespace {

namespace fs = std::filesystem;

constexpr const char* kCompressed = ".gz";

/// Files of parts are large, and asked for part by part, a picture's and a mask's in turn.
std::string remembered_sha256(const fs::path& file) {
  static RecentFiles<std::string> known(8);
  return known.get(file, [&] { return sha256_of_file(file); });
}

}  // namespace

FilePart file_part_of(const fs::path& path) {
  const std::string text = path.string();
  std::error_code error;
  if (text.find('#') == std::string::npos || fs::exists(path, error)) return {path, {}};
  for (auto at = text.rfind('#'); at != std::string::npos && at > 0; at = text.rfind('#', at - 1)) {
    fs::path file = text.substr(0, at);
    if (fs::is_regular_file(file, error)) return {std::move(file), text.substr(at + 1)};
    if (at == 0) break;
  }
  return {path, {}};
}

fs::path file_of(const fs::path& path) { return file_part_of(path).file; }

fs::path stem_of(const fs::path& path) {
  const auto without_extension = [](fs::path whole) {
    if (lower_case(whole.extension().string()) == kCompressed) whole.replace_extension();
    return whole.replace_extension();
  };
  const std::string name = path.filename().string();
  const auto at = name.rfind('#');
  // `.` before the `#` and none after it: else it belongs to a file's own name.
  const bool part = at != std::string::npos && at > 0 && name.find('.', at) == std::string::npos &&
                    name.rfind('.', at) != std::string::npos;
  if (!part) return fs::path(path).replace_extension();
  std::string rest = name.substr(at + 1);
  std::replace(rest.begin(), rest.end(), ':', '-');
  // Numbers of three digits sort as they count.
  const auto digits = std::find_if(rest.rbegin(), rest.rend(),
                                   [](unsigned char c) { return std::isdigit(c) == 0; });
  const auto count = static_cast<std::size_t>(digits - rest.rbegin());
  if (count > 0 && count < 3) rest.insert(rest.size() - count, 3 - count, '0');
  const fs::path stem = without_extension(path.parent_path() / name.substr(0, at));
  return stem.parent_path() / (stem.filename().string() + "-" + rest);
}

std::string sha256_of_part(const fs::path& path) {
  const FilePart named = file_part_of(path);
  if (named.part.empty()) return sha256_of_file(path);
  return Sha256().update(remembered_sha256(named.file)).update("#" + named.part).hex();
}

}  // namespace nagl
