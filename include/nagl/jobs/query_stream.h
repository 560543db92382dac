#pragma once

#include <chrono>
#include <deque>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <utility>

#include "nagl/dataset/pictures.h"
#include "nagl/image/video.h"
#include "nagl/jobs/line_input.h"
#include "nagl/jobs/observer.h"

namespace nagl::jobs {

/// A picture that came, and whether its failure is final: a watched one may still be growing.
struct StreamedPicture {
  PictureFile file;
  bool last_try = true;
  std::optional<VideoFrame> frame{};     ///< of a video: the picture itself
  std::optional<std::string> trigger{};  ///< the line that asked for it
};

/// Pictures that come one after the other.
class QueryStream {
 public:
  virtual ~QueryStream() = default;
  /// Waits for the next picture. @return nothing at the end, or when the job is to stop
  virtual std::optional<StreamedPicture> next() = 0;
  /// Whether it goes on until the job is stopped, which is then no interruption.
  virtual bool endless() const { return false; }
};

/// The paths that a file lists, a pipe or standard input, one a line; empty lines do not count.
class PathList : public QueryStream {
 public:
  /// @param descriptor of the open file; stays open
  PathList(int descriptor, StopToken stop)
      : lines_(descriptor, "the list of paths", std::move(stop)) {}
  /// @throws DataError if it cannot be read, or holds a line that is no path
  std::optional<StreamedPicture> next() override;

 private:
  LineInput lines_;
};

/// The pictures of a folder and those that appear below it, each once it has not changed for a
/// while, and again when it changes later. Looks at the folder's listing again and again, which
/// works on any file system. A picture that could not be read is offered once more after a longer
/// while; one that vanished is forgotten.
class FolderWatch : public QueryStream {
 public:
  /// @throws DataError if the folder cannot be listed
  FolderWatch(std::filesystem::path folder, double settle_seconds, const JobObserver& observer);
  std::optional<StreamedPicture> next() override;
  bool endless() const override { return true; }
  /// What `next` gave last could not be read.
  void failed();

 private:
  using Clock = std::chrono::steady_clock;
  struct Seen {
    std::uintmax_t size = 0;
    std::filesystem::file_time_type changed;
    Clock::time_point since;  ///< when it was first seen like that
    enum { kWaiting, kFailed, kDone } state = kWaiting;
    std::uint64_t round = 0;
  };

  void look();

  std::filesystem::path folder_;
  std::chrono::duration<double> settle_;
  const JobObserver& observer_;
  std::map<std::filesystem::path, Seen> seen_;
  std::deque<StreamedPicture> ready_;
  std::filesystem::path last_;
  std::uint64_t round_ = 0;
  bool gone_ = false;  ///< could not be listed the last time
};

}  // namespace nagl::jobs
