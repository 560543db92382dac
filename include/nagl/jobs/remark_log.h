#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "nagl/image/image.h"
#include "nagl/jobs/observer.h"

namespace nagl::jobs {

/// Warns of what is remarkable about files: of each kind the first, and how many others there were.
class RemarkLog {
 public:
  explicit RemarkLog(const JobObserver& observer) : observer_(observer) {}

  void see(const std::vector<Remark>& remarks);
  /// Says how many files each warning held for.
  void finish() const;

 private:
  const JobObserver& observer_;
  std::map<std::string, std::int64_t> seen_;  ///< by kind
};

}  // namespace nagl::jobs
