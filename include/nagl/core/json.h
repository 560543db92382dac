#pragma once

#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>

namespace nagl {

/// Keys keep the order in which they were set, so that files read well.
using Json = nlohmann::ordered_json;

/// The JSON in a text of anybody, with or without a byte order mark. Nesting and the number of keys
/// of an object are bounded, so that no text overflows the stack or takes time out of proportion.
/// @param comments whether `//` and `/* */` are passed over
/// @throws Json::exception saying what is wrong
Json parse_json(std::string_view text, bool comments = false);

/// The same; nothing where `parse_json` would throw.
std::optional<Json> try_parse_json(std::string_view text);

/// `value` as text on one line, or indented by `indent` spaces. Text that is not UTF-8 (file names
/// may be anything) is written with replacement characters instead of failing.
std::string dump_json(const Json& value, int indent = -1);

}  // namespace nagl
