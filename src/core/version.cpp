#include "nagl/core/version.h"

namespace nagl {

const char* version() { return NAGL_VERSION; }

}  // namespace nagl
