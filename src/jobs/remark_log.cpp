#include "nagl/jobs/remark_log.h"

#include <fmt/format.h>

namespace nagl::jobs {

void RemarkLog::see(const std::vector<Remark>& remarks) {
  for (const auto& remark : remarks) {
    if (++seen_[remark.kind] == 1) observer_.warn(remark.text);
  }
}

void RemarkLog::finish() const {
  for (const auto& [kind, count] : seen_) {
    if (count > 1) observer_.warn(fmt::format("{} files gave that warning ({})", count, kind));
  }
}

}  // namespace nagl::jobs
