#pragma once

#include <filesystem>

#include "reference_options.h"
#include "runtime_options.h"

namespace nagl::apps {

/// What `nagl enroll` was asked to do.
struct EnrollArguments {
  ReferenceArguments references;
  std::filesystem::path out, derived_masks;
  bool add = false, overwrite = false;
  RuntimeOptions runtime;
};

/// Does it. @return the exit code
int run_enroll(const EnrollArguments& arguments);

}  // namespace nagl::apps
