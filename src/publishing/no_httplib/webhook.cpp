#include "../receiver.h"
#include "nagl/core/error.h"

namespace nagl {

std::unique_ptr<Receiver> make_webhook(const std::string&, const std::filesystem::path&) {
  throw ConfigError(
      "--post: nagl was built without cpp-httplib; install it (libcpp-httplib-dev) and build "
      "again");
}

}  // namespace nagl
