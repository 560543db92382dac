#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <opencv2/core/mat.hpp>
#include <optional>
#include <string>

#include "nagl/image/image.h"

namespace nagl {

/// A picture of a video.
struct VideoFrame {
  cv::Mat rgb;              ///< uint8 [H, W, 3], RGB, upright; empty: see `fault`
  std::int64_t number = 0;  ///< from 0, of all frames that came
  double seconds = 0;       ///< of a file its place in it, else since the source was opened
  std::int64_t taken = 0;   ///< of a live source when it came, seconds since 1970, UTC; else 0
  std::string fault;        ///< why it cannot be used; empty: it can
  std::string complaint;    ///< what the decoder said meanwhile, of this frame or one close to it
};

/// A source as it may be shown: without the user and the password that its address may hold.
std::string shown_source(const std::string& source);

/// Reads frames in a thread of its own, ahead of who asks for them: of a file some, all of them in
/// order; of a live source (a camera, a stream) the newest, and others are dropped, so that nobody
/// lags behind. Where nagl was built without OpenCV's videoio, nothing can be opened.
class VideoReader {
 public:
  /// @param source a file, a camera's device (/dev/video0), or an address (rtsp://, http://, ...)
  /// @param every of the frames each n-th is wanted, from the first on; at least 1
  /// @throws DataError saying why it cannot be opened, after ten seconds at most
  VideoReader(const std::string& source, std::int64_t every = 1, const DecodeOptions& options = {});
  ~VideoReader();
  VideoReader(const VideoReader&) = delete;
  VideoReader& operator=(const VideoReader&) = delete;

  bool live() const;
  /// As the source says; 0: it does not.
  double frames_per_second() const;

  /// Waits for the next frame, or of a live source for one that came since the last.
  /// @param stop asked now and then; true ends the waiting
  /// @return nothing at the end, or when it is to stop
  std::optional<VideoFrame> next(const std::function<bool()>& stop = {});
  /// Of a live source: the next frame is one that comes from now on.
  void forget();

  /// Whether nothing comes any more; what has come can still be asked for.
  bool ended() const;
  /// Frames that came so far, wanted or not.
  std::int64_t frames() const;
  /// What is remarkable about how it ended, e.g. that a file is cut short; empty: nothing.
  std::string ending() const;

 private:
  class Reading;

  std::unique_ptr<Reading> reading_;
};

/// Writes a video of frames of one size: .mp4 or .mkv (H.264, else MPEG-4) or .avi (Motion JPEG),
/// by the file's name. It appears whole, when it is finished.
class VideoWriter {
 public:
  /// @param file its folder is made @param frames_per_second above 0
  /// @throws ConfigError on another name, or where nagl was built without OpenCV's videoio
  VideoWriter(std::filesystem::path file, double frames_per_second);
  /// Without `finish` nothing is left.
  ~VideoWriter();
  VideoWriter(const VideoWriter&) = delete;
  VideoWriter& operator=(const VideoWriter&) = delete;

  /// @param rgb uint8 [H, W, 3]; one of another size than the first is scaled to fit into that
  /// @throws DataError naming the file if it cannot be written
  void add(const cv::Mat& rgb);
  /// Without a frame there is no file. @throws DataError as above
  void finish();

 private:
  class Writing;

  std::unique_ptr<Writing> writing_;
};

}  // namespace nagl
