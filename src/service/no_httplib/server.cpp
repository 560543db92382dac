#include "../server.h"

#include "nagl/core/error.h"

namespace nagl::service {

std::unique_ptr<Server> Server::create(const ServeOptions&) {
  throw ConfigError(
      "nagl was built without cpp-httplib, which serves; install it (libcpp-httplib-dev) and build "
      "again");
}

}  // namespace nagl::service
