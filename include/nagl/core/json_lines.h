#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "nagl/core/json.h"

namespace nagl {

/// `value` on a line of its own, with its end.
std::string json_line(const Json& value);

/// A file of one JSON value a line that grows at its end. Each line reaches it whole, by one write,
/// so several processes may append to one file, and readers may follow it.
class JsonLinesFile {
 public:
  /// Opens the file, or makes it; its folder must be there. A last line that a full disk or a
  /// kill cut short is cut off.
  /// @throws DataError naming the file if that cannot be done
  explicit JsonLinesFile(const std::filesystem::path& path);
  ~JsonLinesFile();
  JsonLinesFile(const JsonLinesFile&) = delete;
  JsonLinesFile& operator=(const JsonLinesFile&) = delete;

  /// @throws DataError naming the file if it cannot be written; then nothing of the line stays
  void append(const Json& line);

 private:
  [[noreturn]] void fail() const;

  std::filesystem::path path_;
  int descriptor_;
};

/// The values of such a file, in its order. Lines that are no JSON are passed over; a file that is
/// not there has none.
/// @throws DataError naming a file that is there and cannot be read
std::vector<Json> read_json_lines(const std::filesystem::path& path);

}  // namespace nagl
