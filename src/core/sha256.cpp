#include "nagl/core/sha256.h"

#include <limits>

#include "nagl/core/atomic_file.h"

namespace nagl {

std::string sha256_of_file(const std::filesystem::path& path) {
  return Sha256().update(read_file(path, std::numeric_limits<std::int64_t>::max())).hex();
}

}  // namespace nagl
