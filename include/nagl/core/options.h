#pragma once

#include <algorithm>
#include <cstdint>
#include <filesystem>
#include <limits>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "nagl/core/enum_names.h"
#include "nagl/core/error.h"
#include "nagl/core/json.h"

namespace nagl {

/// Options are plain structs whose defaults stand in the struct. Each lists its fields once,
///
///     template <typename Self, typename Visit>
///     static void fields(Self& self, Visit&& visit) {
///       visit("epochs", self.epochs);
///       visit("loss", self.loss);  // an enum with names (core/enum_names.h)
///     }
///
/// and can then be written as JSON, read from it, and set by `section.key=value`. A field may be an
/// options struct itself, a number, bool, string, path, enum, or an optional or a vector of those.
/// Where there is a `parse(text, value)` for a struct, it may also be given as that text or, where
/// that is one, as a number.
template <typename T>
concept OptionStruct = requires(T& value) {
  T::fields(value, [](const char*, auto&) {});
};

template <typename T>
concept TextOption = requires(const std::string& text, T& value) {
  parse(text, value);
};

template <typename T>
Json option_to_json(const std::optional<T>& value);
template <typename T>
Json option_to_json(const std::vector<T>& values);

/// An option as JSON.
template <typename T>
Json option_to_json(const T& value) {
  if constexpr (OptionStruct<T>) {
    Json object = Json::object();
    T::fields(value,
              [&](const char* name, const auto& field) { object[name] = option_to_json(field); });
    return object;
  } else if constexpr (std::is_same_v<T, std::filesystem::path>) {
    return value.string();
  } else if constexpr (std::is_enum_v<T>) {
    return to_string(value);
  } else {
    return value;
  }
}

template <typename T>
Json option_to_json(const std::optional<T>& value) {
  return value ? option_to_json(*value) : Json(nullptr);
}

template <typename T>
Json option_to_json(const std::vector<T>& values) {
  Json array = Json::array();
  for (const auto& value : values) array.push_back(option_to_json(value));
  return array;
}

namespace detail {

[[noreturn]] void fail_option(const std::string& name, const std::string& expected,
                              const Json& value);
[[noreturn]] void fail_unknown_option(const std::string& name,
                                      const std::vector<std::string>& known);
inline std::string joined(const std::string& section, const std::string& key) {
  return section.empty() ? key : section + "." + key;
}

/// `parse`, whose message then begins with the option's name.
template <TextOption T>
void option_from_text(T& target, const std::string& text, const std::string& name) {
  try {
    parse(text, target);
  } catch (const ConfigError& error) {
    throw ConfigError(name + ": " + error.what());
  }
}

}  // namespace detail

template <typename T>
void option_from_json(T& target, const Json& value, const std::string& name = "");
template <typename T>
void option_from_json(std::optional<T>& target, const Json& value, const std::string& name);
template <typename T>
void option_from_json(std::vector<T>& target, const Json& value, const std::string& name);

template <typename T>
void option_from_json(std::optional<T>& target, const Json& value, const std::string& name) {
  if (value.is_null()) {
    target.reset();
  } else {
    option_from_json(target.emplace(), value, name);
  }
}

template <typename T>
void option_from_json(std::vector<T>& target, const Json& value, const std::string& name) {
  if (!value.is_array()) detail::fail_option(name, "a list", value);
  target.clear();
  for (const auto& item : value) option_from_json(target.emplace_back(), item, name);
}

/// Reads what `value` has; what it does not name stays as it is.
/// @param name where the value stands, for messages: `trainer.epochs`
/// @throws ConfigError naming an unknown key, or a key whose value is of another kind
template <typename T>
void option_from_json(T& target, const Json& value, const std::string& name) {
  if constexpr (OptionStruct<T>) {
    if constexpr (TextOption<T>) {
      if (value.is_string() || value.is_number()) {
        const std::string text = value.is_string() ? value.get<std::string>() : value.dump();
        return detail::option_from_text(target, text, name);
      }
    }
    if (!value.is_object()) detail::fail_option(name, "a group of options", value);
    std::vector<std::string> known;
    T::fields(target, [&](const char* key, auto& field) {
      known.emplace_back(key);
      if (value.contains(key)) option_from_json(field, value[key], detail::joined(name, key));
    });
    for (const auto& [key, ignored] : value.items()) {
      if (std::find(known.begin(), known.end(), key) == known.end()) {
        detail::fail_unknown_option(detail::joined(name, key), known);
      }
    }
  } else if constexpr (std::is_same_v<T, bool>) {
    if (!value.is_boolean()) detail::fail_option(name, "true or false", value);
    target = value.get<bool>();
  } else if constexpr (std::is_integral_v<T>) {
    const bool fits = value.is_number_unsigned() ? std::in_range<T>(value.get<std::uint64_t>())
                                                 : value.is_number_integer() &&
                                                       std::in_range<T>(value.get<std::int64_t>());
    if (!fits) {
      detail::fail_option(name,
                          value.is_number_integer()
                              ? "in " + std::to_string(std::numeric_limits<T>::min()) + ".." +
                                    std::to_string(std::numeric_limits<T>::max())
                              : std::string("a whole number"),
                          value);
    }
    target = value.get<T>();
  } else if constexpr (std::is_floating_point_v<T>) {
    if (!value.is_number()) detail::fail_option(name, "a number", value);
    target = value.get<T>();
  } else if constexpr (std::is_enum_v<T>) {
    if (!value.is_string()) detail::fail_option(name, "a word", value);
    detail::option_from_text(target, value.get<std::string>(), name);
  } else {
    if (!value.is_string()) detail::fail_option(name, "a text", value);
    target = value.get<std::string>();
  }
}

/// `section.key=value` as JSON: {"section": {"key": value}}. The value is read as JSON where it is
/// such (`3`, `1e-3`, `true`, `[10,15]`, `null`), else as text.
/// @throws ConfigError if there is no `=` or an empty key
Json parse_assignment(std::string_view assignment);

/// The options of a JSON file. @throws ConfigError naming the file if it cannot be read or parsed
Json read_config(const std::filesystem::path& path);

/// The keys, as `section.key`, in which two option objects differ.
std::vector<std::string> differing_options(const Json& a, const Json& b);

}  // namespace nagl
