#include "../receiver.h"
#include "nagl/core/error.h"

namespace nagl {

std::unique_ptr<Receiver> make_mqtt(const std::string&, const std::filesystem::path&) {
  throw ConfigError(
      "--mqtt: nagl was built without libmosquitto; install it (libmosquitto-dev) and build again");
}

}  // namespace nagl
