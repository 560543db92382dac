#include "nagl/core/csv.h"

#include <algorithm>
#include <cctype>
#include <utility>

#include "nagl/core/atomic_file.h"
#include "nagl/core/error.h"
#include "nagl/core/text.h"

namespace nagl {
namespace {

constexpr std::size_t kLargestFile = std::size_t{1} << 30;

/// One record's fields; moves `at` behind it and counts its lines.
std::vector<std::string> next_record(const std::filesystem::path& path, const std::string& text,
                                     char separator, std::size_t& at, std::size_t& line) {
  std::vector<std::string> fields(1);
  const std::size_t begun = line;
  bool quoted = false;
  for (; at < text.size(); ++at) {
    const char c = text[at];
    if (c == '\n') ++line;
    if (quoted) {
      if (c != '"') {
        fields.back() += c;
      } else if (at + 1 < text.size() && text[at + 1] == '"') {
        fields.back() += text[++at];
      } else {
        quoted = false;
      }
    } else if (c == '"') {
      quoted = true;
    } else if (c == separator) {
      fields.emplace_back();
    } else if (c == '\n') {
      ++at;
      return fields;
    } else if (c != '\r') {
      fields.back() += c;
    }
  }
  if (quoted) {
    throw DataError("'" + path.string() + "', line " + std::to_string(begun) +
                    ": a quotation mark is not closed");
  }
  return fields;
}

/// What stands between the fields: spreadsheets of many countries write semicolons.
char separator_of(const std::string& text, std::size_t begin) {
  const std::string first = text.substr(begin, text.find('\n', begin) - begin);
  const auto count = [&](char c) { return std::count(first.begin(), first.end(), c); };
  char most = ',';
  for (const char other : {';', '\t'}) {
    if (count(other) > count(most)) most = other;
  }
  return most;
}

/// A column's name without spaces around it, in lower case.
std::string plain_name(std::string name) {
  const auto space = [](unsigned char c) { return std::isspace(c) != 0; };
  name.erase(name.begin(), std::find_if_not(name.begin(), name.end(), space));
  name.erase(std::find_if_not(name.rbegin(), name.rend(), space).base(), name.end());
  return lower_case(std::move(name));
}

bool is_empty(const std::vector<std::string>& fields) {
  return fields.size() == 1 && fields.front().empty();
}

}  // namespace

std::string csv_field(const std::string& text) {
  if (text.find_first_of(",\"\r\n") == std::string::npos) return text;
  std::string quoted = "\"";
  for (const char c : text) {
    if (c == '"') quoted += '"';
    quoted += c;
  }
  return quoted + '"';
}

std::string CsvRow::get(const std::string& name) const {
  const auto found = fields.find(name);
  return found == fields.end() ? "" : found->second;
}

std::vector<CsvRow> read_csv(const std::filesystem::path& path,
                             const std::vector<std::string>& required) {
  const std::string text = read_file(path, kLargestFile);
  if (text.find('\0') != std::string::npos || text.starts_with("\xFF\xFE") ||
      text.starts_with("\xFE\xFF")) {
    throw DataError("'" + path.string() + "' is no CSV in UTF-8 (UTF-16?); save it as UTF-8");
  }
  std::size_t at = text.starts_with("\xEF\xBB\xBF") ? 3 : 0, line = 1;
  const char separator = separator_of(text, at);
  auto names = next_record(path, text, separator, at, line);
  std::transform(names.begin(), names.end(), names.begin(), plain_name);
  for (auto name = names.begin(); name != names.end(); ++name) {
    if (std::find(names.begin(), name, *name) != name) {
      throw DataError("'" + path.string() + "' has two columns '" + *name + "'");
    }
  }
  for (const auto& name : required) {
    if (std::find(names.begin(), names.end(), name) == names.end()) {
      throw DataError("'" + path.string() + "' has no column '" + name + "' in its first line");
    }
  }
  std::vector<CsvRow> rows;
  while (at < text.size()) {
    CsvRow row;
    row.line = line;
    auto fields = next_record(path, text, separator, at, line);
    if (is_empty(fields)) continue;
    if (fields.size() != names.size()) {
      throw DataError("'" + path.string() + "', line " + std::to_string(row.line) + ": " +
                      std::to_string(fields.size()) + " fields, where the first line has " +
                      std::to_string(names.size()));
    }
    for (std::size_t i = 0; i < names.size(); ++i) row.fields[names[i]] = std::move(fields[i]);
    rows.push_back(std::move(row));
  }
  return rows;
}

}  // namespace nagl
