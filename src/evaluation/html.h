#pragma once

#include <string>

namespace nagl {

/// Text for HTML: what has a meaning there is written as an entity.
std::string escaped(const std::string& text);

/// Bytes for a data URL.
std::string base64(const std::string& bytes);

}  // namespace nagl
