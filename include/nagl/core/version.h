#pragma once

namespace nagl {

/// Version of the library, `MAJOR.MINOR.PATCH`.
const char* version();

}  // namespace nagl
