#include "nagl/core/options.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "nagl/core/atomic_file.h"

namespace nagl {
namespace {

constexpr std::size_t kLargestConfig = 1 << 20;

void collect_differences(const Json& a, const Json& b, const std::string& section,
                         std::vector<std::string>& differing) {
  if (!a.is_object() || !b.is_object()) {
    if (a != b) differing.push_back(section);
    return;
  }
  const auto child = [](const Json& object, const std::string& key) {
    return object.contains(key) ? object[key] : Json(nullptr);
  };
  for (const auto& [key, value] : a.items()) {
    collect_differences(value, child(b, key), detail::joined(section, key), differing);
  }
  for (const auto& [key, value] : b.items()) {
    if (!a.contains(key) && !value.is_null()) differing.push_back(detail::joined(section, key));
  }
}

}  // namespace

namespace detail {

void fail_option(const std::string& name, const std::string& expected, const Json& value) {
  throw ConfigError(fmt::format("option {}: {} is not {}", name.empty() ? "file" : name,
                                dump_json(value), expected));
}

void fail_unknown_option(const std::string& name, const std::vector<std::string>& known) {
  throw ConfigError(fmt::format("unknown option {}; there are: {}", name, fmt::join(known, ", ")));
}

}  // namespace detail

Json parse_assignment(std::string_view assignment) {
  const auto equals = assignment.find('=');
  const std::string_view path = assignment.substr(0, equals);
  const bool empty_key = path.empty() || path.front() == '.' || path.back() == '.' ||
                         path.find("..") != std::string_view::npos;
  if (equals == std::string_view::npos || empty_key) {
    throw ConfigError(fmt::format("'{}' is not KEY=VALUE, e.g. trainer.epochs=1", assignment));
  }
  const std::string text(assignment.substr(equals + 1));
  Json value = try_parse_json(text).value_or(text);
  for (std::size_t end = path.size();;) {
    const auto dot = path.substr(0, end).rfind('.');
    const std::size_t begin = dot == std::string_view::npos ? 0 : dot + 1;
    Json outer = Json::object();
    outer[std::string(path.substr(begin, end - begin))] = std::move(value);
    value = std::move(outer);
    if (begin == 0) break;
    end = dot;
  }
  return value;
}

Json read_config(const std::filesystem::path& path) {
  std::string text;
  try {
    text = read_file(path, kLargestConfig);
  } catch (const DataError& error) {
    throw ConfigError(error.what());
  }
  try {
    return parse_json(text, /*comments=*/true);
  } catch (const Json::exception& error) {
    throw ConfigError("config file '" + path.string() + "' is not valid JSON: " + error.what());
  }
}

std::vector<std::string> differing_options(const Json& a, const Json& b) {
  std::vector<std::string> differing;
  collect_differences(a, b, "", differing);
  return differing;
}

}  // namespace nagl
