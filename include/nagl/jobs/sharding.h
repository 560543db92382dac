#pragma once

#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "nagl/core/work_share.h"
#include "nagl/jobs/observer.h"

namespace nagl::jobs {

/// How a job is shared with other processes that were started alike; by default it is not.
struct ShardRequest {
  std::optional<Shard> shard;
  double lease = 60;   ///< seconds after which a process that shows no life counts as dead
  bool merge = false;  ///< only put together what shards did

  bool shared() const { return shard || merge; }
};

/// A job that several processes do together, in a folder of the job's results: units of work, whose
/// results they all see, then one last step, which one of them does.
class SharedJob {
 public:
  /// @param folder of claims and whatever the job keeps while it goes on, of this job alone
  SharedJob(std::filesystem::path folder, const ShardRequest& request, const JobObserver& observer);

  /// Does units until all are done, by this process or by others. With `merge` none is done.
  /// @param units names fit for files
  /// @param done whether a unit's result is there
  /// @return false: it was stopped
  /// @throws DataError naming the first that is not done, with `merge`
  bool work(const std::vector<std::string>& units,
            const std::function<bool(const std::string&)>& done,
            const std::function<bool(const std::string&)>& work) const;

  /// The last step: this process does it, or waits until another has done it. With `merge` it is
  /// done again.
  /// @return whether this process did it; nothing: it was stopped
  std::optional<bool> finish(const std::function<void()>& step) const;

  /// Whether the last step was done.
  bool finished() const;
  /// There is something to do again, and then the last step too.
  void restart() const;
  const std::filesystem::path& folder() const { return folder_; }

 private:
  std::filesystem::path folder_;
  const ShardRequest& request_;
  const JobObserver& observer_;
};

}  // namespace nagl::jobs
