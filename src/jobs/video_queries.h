#pragma once

#include <memory>
#include <optional>
#include <string>

#include "nagl/core/duration.h"
#include "nagl/core/json.h"
#include "nagl/image/video.h"
#include "nagl/jobs/line_input.h"
#include "nagl/jobs/query_stream.h"
#include "nagl/jobs/score_video.h"

namespace nagl::jobs {

/// The place of a frame's results below the folders of the output: `clip/000120.png` of
/// `clip.mp4#120`.
std::filesystem::path frame_place(const std::filesystem::path& frame, std::int64_t number);

/// What `run.json` says of it.
Json describe(const VideoOptions& video);

/// The frames of a video that are to be scored.
class VideoQueries : public QueryStream {
 public:
  /// Opens the source. @throws DataError if that fails
  VideoQueries(const VideoOptions& options, const DecodeOptions& decode,
               const JobObserver& observer);

  /// @throws DataError if a file holds no frame at all
  std::optional<StreamedPicture> next() override;
  bool endless() const override { return live_; }

  /// Of the frames that are scored, for a video of them.
  double frames_per_second() const { return rate_; }
  /// Frames that came so far, scored or not.
  std::int64_t frames() const { return before_ + (reader_ ? reader_->frames() : 0); }

 private:
  StreamedPicture picture(VideoFrame frame, const std::optional<std::string>& trigger);
  /// For a trigger without a frame.
  StreamedPicture missed(const std::optional<std::string>& trigger);
  /// The reader has come to its end. @return whether the source is to be tried again
  bool lost();
  /// Tries to get a lost source back, if it is time to.
  void try_again();

  const VideoOptions& options_;
  DecodeOptions decode_;
  const JobObserver& observer_;
  std::string name_;
  std::optional<LineInput> triggers_;
  std::unique_ptr<VideoReader> reader_;  ///< null: the source is away
  bool live_ = false;
  double rate_ = 0;
  std::int64_t before_ = 0;  ///< frames of earlier connections
  Stopwatch since_start_, since_try_;
  double opened_at_ = 0;  ///< seconds since the start
};

}  // namespace nagl::jobs
