#pragma once

#include <array>
#include <cstddef>
#include <stdexcept>
#include <string>
#include <type_traits>
#include <utility>

#include "nagl/core/error.h"

namespace nagl {

/// The names of an enum's values, each once. An enum that has names declares them beside itself, in
/// its own namespace,
///
///     enum class Protocol { kStrict, kPublished };
///     constexpr auto names_of(Protocol) {
///       return EnumNames<Protocol, 2>{
///           "protocol", {{{Protocol::kStrict, "strict"}, {Protocol::kPublished, "published"}}}};
///     }
///
/// and has `to_string`, `parse`, `parse_as` and `listed_names` by that, also as an option.
template <typename E, std::size_t N>
struct EnumNames {
  const char* what;  ///< what the values are, for messages: `protocol`
  std::array<std::pair<E, const char*>, N> names;
};

template <typename E>
concept NamedEnum = std::is_enum_v<E> && requires {
  names_of(E{});
};

/// @throws std::invalid_argument on a number that is none of the enum's values
template <NamedEnum E>
std::string to_string(E value) {
  constexpr auto table = names_of(E{});
  for (const auto& [known, name] : table.names) {
    if (known == value) return name;
  }
  throw std::invalid_argument(std::string(table.what) + " has no such value");
}

/// All names, as the enum lists them: `strict, published`.
template <NamedEnum E>
std::string listed_names() {
  std::string listed;
  for (const auto& entry : names_of(E{}).names) {
    if (!listed.empty()) listed += ", ";
    listed += entry.second;
  }
  return listed;
}

/// @throws ConfigError: `protocol 'x' is not one of strict, published`
template <NamedEnum E>
void parse(const std::string& name, E& value) {
  constexpr auto table = names_of(E{});
  for (const auto& [known, known_name] : table.names) {
    if (name == known_name) {
      value = known;
      return;
    }
  }
  throw ConfigError(std::string(table.what) + " '" + name + "' is not one of " + listed_names<E>());
}

/// `parse` that gives the value back.
template <NamedEnum E>
E parse_as(const std::string& name) {
  E value{};
  parse(name, value);
  return value;
}

}  // namespace nagl
