#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace nagl {

/// The whole number that a text is: digits, perhaps after a `-`, and nothing else.
/// @return nothing for another text, or a number beyond 64 bits
std::optional<std::int64_t> whole_number(std::string_view text);

/// The text with its ASCII letters in lower case.
std::string lower_case(std::string text);

}  // namespace nagl
