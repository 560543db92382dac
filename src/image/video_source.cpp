#include "nagl/image/video.h"

namespace nagl {

std::string shown_source(const std::string& source) {
  const auto scheme = source.find("://");
  if (scheme == std::string::npos) return source;
  const auto begin = scheme + 3;
  const auto end = source.find_first_of("/?#", begin);
  const auto at = source.substr(0, end).rfind('@');
  if (at == std::string::npos || at < begin) return source;
  return source.substr(0, begin) + source.substr(at + 1);
}

}  // namespace nagl
