#include "nagl/jobs/query_stream.h"

#include <fmt/format.h>

#include <algorithm>
#include <thread>

#include "nagl/core/error.h"
#include "nagl/image/volume.h"

namespace nagl::jobs {
namespace {

namespace fs = std::filesystem;

constexpr int kPollMilliseconds = 200;
constexpr double kLastTryAfter = 10;  // times the settling time

/// A line of a list without what programs put around paths: a byte order mark before the first, a
/// carriage return, quotation marks.
/// @throws DataError if it is no text, or none that can be a path
std::string path_of(std::string line) {
  if (line.starts_with("\xFF\xFE") || line.starts_with("\xFE\xFF")) {
    throw DataError("the list of paths is UTF-16; write it as UTF-8");
  }
  if (line.find('\0') != std::string::npos) {
    throw DataError("the list of paths holds a line with a zero byte; write a path a line");
  }
  if (line.starts_with("\xEF\xBB\xBF")) line.erase(0, 3);
  if (line.ends_with('\r')) line.pop_back();
  for (const char mark : {'"', '\''}) {
    std::error_code error;
    const bool quoted = line.size() > 2 && line.front() == mark && line.back() == mark;
    if (quoted && !std::filesystem::exists(line, error)) return line.substr(1, line.size() - 2);
  }
  return line;
}

}  // namespace

std::optional<StreamedPicture> PathList::next() {
  while (auto line = lines_.next()) {
    const std::string path = path_of(std::move(*line));
    if (!path.empty()) return StreamedPicture{{listed_path({}, path), {}}, true};
  }
  return std::nullopt;
}

FolderWatch::FolderWatch(fs::path folder, double settle_seconds, const JobObserver& observer)
    : folder_(std::move(folder)), settle_(settle_seconds), observer_(observer) {
  std::error_code error;
  if (!fs::is_directory(folder_, error)) {
    throw DataError("--watch '" + folder_.string() + "' is not a folder");
  }
  fs::directory_iterator probe(folder_, error);
  if (error) throw DataError("cannot list '" + folder_.string() + "': " + error.message());
}

void FolderWatch::look() {
  ++round_;
  const auto now = Clock::now();
  std::error_code error;
  auto entry = fs::recursive_directory_iterator(
      folder_, fs::directory_options::skip_permission_denied, error);
  for (; !error && entry != fs::recursive_directory_iterator(); entry.increment(error)) {
    std::error_code vanished;
    if (entry->is_directory(vanished)) {
      const bool hidden = entry->path().filename().string().starts_with('.');
      if (hidden) entry.disable_recursion_pending();
      continue;
    }
    // A volume is no picture, which is said where it is read.
    const bool wanted = has_picture_extension(entry->path()) || is_volume(entry->path());
    if (!wanted || !entry->is_regular_file(vanished) || is_mask_beside_picture(entry->path())) {
      continue;
    }
    const auto size = entry->file_size(vanished);
    const auto changed = vanished ? fs::file_time_type() : entry->last_write_time(vanished);
    if (vanished) continue;
    Seen& seen = seen_[entry->path()];
    const bool fresh = seen.round == 0 || seen.size != size || seen.changed != changed;
    seen.round = round_;
    if (fresh) {
      seen.size = size;
      seen.changed = changed;
      seen.since = now;
      seen.state = Seen::kWaiting;
      continue;
    }
    const bool settled = now - seen.since >= settle_;
    const bool last_try = now - seen.since >= kLastTryAfter * settle_;
    if (seen.state == Seen::kDone || !settled || (seen.state == Seen::kFailed && !last_try)) {
      continue;
    }
    seen.state = Seen::kDone;
    ready_.push_back({{entry->path(), folder_}, last_try});
  }
  if (error && !gone_) {
    observer_.warn(fmt::format("'{}' cannot be listed: {}", folder_.string(), error.message()));
  }
  gone_ = static_cast<bool>(error);
  // A listing that broke off says nothing of the files it did not reach.
  if (!error) std::erase_if(seen_, [&](const auto& item) { return item.second.round != round_; });
  std::sort(ready_.begin(), ready_.end(), [](const StreamedPicture& a, const StreamedPicture& b) {
    return a.file.path < b.file.path;
  });
}

std::optional<StreamedPicture> FolderWatch::next() {
  while (!observer_.stopped()) {
    if (!ready_.empty()) {
      StreamedPicture picture = std::move(ready_.front());
      ready_.pop_front();
      last_ = picture.file.path;
      return picture;
    }
    look();
    if (ready_.empty()) std::this_thread::sleep_for(std::chrono::milliseconds(kPollMilliseconds));
  }
  return std::nullopt;
}

void FolderWatch::failed() {
  const auto found = seen_.find(last_);
  if (found != seen_.end() && found->second.state == Seen::kDone) {
    found->second.state = Seen::kFailed;
  }
}

}  // namespace nagl::jobs
