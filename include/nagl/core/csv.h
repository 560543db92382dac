#pragma once

#include <filesystem>
#include <map>
#include <string>
#include <vector>

namespace nagl {

/// A row of a CSV file by the names in its first line, and the line it began on.
struct CsvRow {
  std::map<std::string, std::string> fields;
  std::size_t line = 0;

  /// The field, or an empty text where the file has no such column.
  std::string get(const std::string& name) const;
};

/// A text as a field of a CSV file: in double quotes, with its own doubled, where it holds a comma,
/// a quote or an end of line; else as it is.
std::string csv_field(const std::string& text);

/// Reads a CSV file in UTF-8 (RFC 4180: fields in double quotes may hold separators, quotes and
/// ends of lines). Its separator is that of commas, semicolons and tabs of which the first line has
/// most. Names of columns count in lower case, without spaces around them. A byte-order mark and
/// empty lines are passed over.
/// @param required columns it must have
/// @throws DataError naming the file and the line, or the column that is missing
std::vector<CsvRow> read_csv(const std::filesystem::path& path,
                             const std::vector<std::string>& required);

}  // namespace nagl
