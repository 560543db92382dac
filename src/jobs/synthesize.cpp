#include "nagl/jobs/synthesize.h"

#include "nagl/core/error.h"

namespace nagl::jobs {

void synthesize(const std::filesystem::path& out, const SyntheticOptions& options,
                const JobObserver& observer) {
  write_synthetic_dataset(out, options, [&](std::int64_t done, std::int64_t total) {
    observer.advance("drawing", done, total);
    if (observer.stopped() && done < total) throw Error("interrupted; the data set is not whole");
  });
}

}  // namespace nagl::jobs
