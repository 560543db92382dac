#pragma once

#include <nlohmann/json.hpp>
#include <string>

namespace nagl {

/// Keys keep the order in which they were set, so that files read well.
using Json = nlohmann::ordered_json;

/// `value` as text on one line, or indented by `indent` spaces. Text that is not UTF-8 (file names
/// may be anything) is written with replacement characters instead of failing.
std::string dump_json(const Json& value, int indent = -1);

}  // namespace nagl
