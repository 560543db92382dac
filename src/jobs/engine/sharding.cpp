#include "nagl/jobs/sharding.h"

#include <fmt/format.h>

#include <algorithm>

#include "nagl/core/atomic_file.h"
#include "nagl/core/error.h"

namespace nagl::jobs {
namespace {

namespace fs = std::filesystem;

constexpr const char* kLast = "last-step";

}  // namespace

SharedJob::SharedJob(fs::path folder, const ShardRequest& request, const JobObserver& observer)
    : folder_(std::move(folder)), request_(request), observer_(observer) {}

bool SharedJob::work(const std::vector<std::string>& units,
                     const std::function<bool(const std::string&)>& done,
                     const std::function<bool(const std::string&)>& work) const {
  if (request_.merge) {
    const auto missing = std::count_if(units.begin(), units.end(),
                                       [&](const std::string& unit) { return !done(unit); });
    if (missing == 0) return true;
    throw DataError(fmt::format(
        "{} of {} parts of the work in '{}' are not done; start a shard (--shard) to do them",
        missing, units.size(), folder_.string()));
  }
  WorkShare share(folder_ / "claims", *request_.shard, request_.lease);
  return share.run(
      units, done, work,
      [&](std::size_t left) {
        observer_.info(fmt::format("waiting for other shards, which are at the last {} of {} parts",
                                   left, units.size()));
      },
      observer_.stop);
}

bool SharedJob::finished() const {
  std::error_code error;
  return fs::exists(folder_ / kLast, error);
}

void SharedJob::restart() const {
  std::error_code error;
  fs::remove(folder_ / kLast, error);
}

std::optional<bool> SharedJob::finish(const std::function<void()>& step) const {
  bool own = false;
  const auto do_it = [&](const std::string&) {
    step();
    write_file(folder_ / kLast, "done\n");
    own = true;
    return true;
  };
  if (request_.merge) {
    do_it(kLast);
    return own;
  }
  WorkShare share(folder_ / "claims", *request_.shard, request_.lease);
  const bool all = share.run(
      {kLast}, [&](const std::string&) { return finished(); }, do_it, {}, observer_.stop);
  if (!all) return std::nullopt;
  return own;
}

}  // namespace nagl::jobs
