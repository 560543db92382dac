#pragma once

#include <filesystem>

#include "nagl/dataset/synthetic.h"
#include "nagl/jobs/observer.h"

namespace nagl::jobs {

/// Makes a data set to try nagl on, below `out` (see `write_synthetic_dataset`).
void synthesize(const std::filesystem::path& out, const SyntheticOptions& options,
                const JobObserver& observer = {});

}  // namespace nagl::jobs
