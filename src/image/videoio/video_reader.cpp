#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <ctime>
#include <deque>
#include <mutex>
#include <opencv2/imgproc.hpp>
#include <opencv2/videoio.hpp>
#include <opencv2/videoio/registry.hpp>
#include <thread>
#include <utility>

#include "decoder_log.h"
#include "nagl/core/duration.h"
#include "nagl/core/error.h"
#include "nagl/core/stderr_capture.h"
#include "nagl/image/video.h"

namespace nagl {
namespace {

namespace fs = std::filesystem;

constexpr int kOpenMilliseconds = 10'000, kReadMilliseconds = 5'000;
constexpr std::size_t kAhead = 2;  ///< frames of a file
constexpr std::chrono::milliseconds kAskInterval{100};
constexpr double kCutShort = 0.95;  ///< headers may be wrong by some frames

bool is_address(const std::string& source) { return source.find("://") != std::string::npos; }

bool is_device(const std::string& source) {
  std::error_code error;
  return fs::is_character_file(fs::status(source, error));
}

/// Without the user and the password of the source.
std::string without_secrets(std::string text, const std::string& source) {
  const auto begin = source.find("://");
  const auto at = source.rfind('@');
  if (begin == std::string::npos || at == std::string::npos || shown_source(source) == source) {
    return text;
  }
  const std::string secret = source.substr(begin + 3, at - begin - 2);
  for (auto found = text.find(secret); found != std::string::npos; found = text.find(secret)) {
    text.erase(found, secret.size());
  }
  return text;
}

[[noreturn]] void fail_to_open(const std::string& source, const std::string& why) {
  throw DataError(
      fmt::format("cannot open '{}': {}", shown_source(source), without_secrets(why, source)));
}

/// What can be said before any library looks at it.
void check_source(const std::string& source) {
  if (is_address(source)) return;
  std::error_code error;
  const auto status = fs::status(source, error);
  if (!fs::exists(status)) {
    const bool camera = source.starts_with("/dev/");
    fail_to_open(source, camera ? "there is no such camera" : "there is no such file");
  }
  if (fs::is_directory(status)) fail_to_open(source, "it is a folder, not a video");
  if (fs::is_regular_file(status) && fs::file_size(source, error) == 0) {
    fail_to_open(source, "the file is empty");
  }
}

cv::VideoCapture open(const std::string& source) {
  check_source(source);
  const StderrCapture quiet;  // what OpenCV itself prints
  const bool camera = is_device(source);
  const int wanted = camera ? cv::CAP_V4L2 : cv::CAP_FFMPEG;
  const bool there = cv::videoio_registry::hasBackend(static_cast<cv::VideoCaptureAPIs>(wanted));
  DecoderLog::take();
  cv::VideoCapture capture;
  try {
    if (there && !camera) {
      capture.open(source, wanted,
                   {cv::CAP_PROP_OPEN_TIMEOUT_MSEC, kOpenMilliseconds,
                    cv::CAP_PROP_READ_TIMEOUT_MSEC, kReadMilliseconds});
    } else {
      capture.open(source, there ? wanted : cv::CAP_ANY);
    }
  } catch (const cv::Exception& error) {
    fail_to_open(source, error.err);
  }
  if (capture.isOpened()) return capture;
  const DecoderLog::Entries said = DecoderLog::take();
  const std::string why = !said.of_the_container.empty() ? said.of_the_container
                          : !said.of_this_thread.empty() ? said.of_this_thread
                                                         : quiet.text();
  fail_to_open(source, camera                               ? "it is no camera that can be used now"
                       : is_address(source) && !why.empty() ? why
                       : is_address(source)                 ? "nothing answers there"
                                            : "it is no video of a kind that OpenCV can read");
}

}  // namespace

class VideoReader::Reading {
 public:
  Reading(const std::string& source, std::int64_t every, const DecodeOptions& options)
      : source_(source), every_(every), most_pixels_(options.max_pixels), capture_(open(source)) {
    declared_ = capture_.get(cv::CAP_PROP_FRAME_COUNT);
    rate_ = capture_.get(cv::CAP_PROP_FPS);
    if (!(rate_ > 0 && rate_ < 1000)) rate_ = 0;
    live_ = is_device(source) || (is_address(source) && !(declared_ > 0));
    thread_ = std::thread([this] { run(); });
  }

  ~Reading() {
    {
      const std::lock_guard guard(mutex_);
      ends_ = true;
    }
    taken_.notify_all();
    thread_.join();
  }

  bool live() const { return live_; }
  double rate() const { return rate_; }

  std::optional<VideoFrame> next(const std::function<bool()>& stop) {
    std::unique_lock lock(mutex_);
    const auto there = [this] { return !ready_.empty() || ended_; };
    while (!came_.wait_for(lock, kAskInterval, there)) {
      if (stop && stop()) return std::nullopt;
    }
    if (ready_.empty()) return std::nullopt;
    VideoFrame frame = std::move(ready_.front());
    ready_.pop_front();
    taken_.notify_all();
    return frame;
  }

  void forget() {
    const std::lock_guard guard(mutex_);
    if (live_) ready_.clear();
  }

  bool ended() const {
    const std::lock_guard guard(mutex_);
    return ended_;
  }
  std::int64_t frames() const { return frames_; }

  std::string ending() const {
    const std::lock_guard guard(mutex_);
    return ending_;
  }

 private:
  void run() {
    const StderrCapture quiet;
    DecoderLog::take();  // what was said of the first frames while it was opened is said again
    std::string failure;
    try {
      while (!ends_ && capture_.grab()) {
        VideoFrame frame = stamped();
        if (frame.number % every_ != 0) continue;
        fill(frame);
        hand_over(std::move(frame));
      }
    } catch (const std::exception& error) {  // of OpenCV, or for want of memory
      failure = error.what();
    }
    capture_.release();
    const DecoderLog::Entries said = DecoderLog::take();
    const std::lock_guard guard(mutex_);
    ending_ = without_secrets(ending_of(failure, said), source_);
    ended_ = true;
    came_.notify_all();
  }

  VideoFrame stamped() {
    VideoFrame frame;
    frame.number = frames_++;
    if (live_) {
      frame.seconds = since_open_.seconds();
      frame.taken = std::time(nullptr);
    } else {
      frame.seconds = place();
    }
    return frame;
  }

  /// Seconds from the beginning of a file. OpenCV has none for the frames that its decoder still
  /// held at the end.
  double place() {
    const double told = capture_.get(cv::CAP_PROP_POS_MSEC) / 1000;
    const double usual = frames_ > 1 && rate_ > 0 ? place_ + 1 / rate_ : 0;
    place_ = told > place_ || frames_ <= 1 ? told : usual;
    return place_;
  }

  void fill(VideoFrame& frame) {
    cv::Mat bgr;
    const bool got = capture_.retrieve(bgr);
    const DecoderLog::Entries said = DecoderLog::take();
    frame.complaint = said.of_others;
    if (!got || bgr.empty()) {
      frame.fault = "cannot be decoded";
    } else if (!said.of_this_thread.empty()) {
      frame.fault = fmt::format("is damaged: the decoder says '{}'", said.of_this_thread);
    } else if (static_cast<std::int64_t>(bgr.total()) > most_pixels_) {
      frame.fault = fmt::format("has {} x {} pixels, more than {} (--max-pixels)", bgr.cols,
                                bgr.rows, most_pixels_);
    } else if (bgr.type() == CV_8UC3) {
      cv::cvtColor(bgr, frame.rgb, cv::COLOR_BGR2RGB);
    } else if (bgr.type() == CV_8UC1) {
      cv::cvtColor(bgr, frame.rgb, cv::COLOR_GRAY2RGB);
    } else {
      frame.fault = "is no picture of 8 bit";
    }
  }

  void hand_over(VideoFrame frame) {
    std::unique_lock lock(mutex_);
    if (live_) {
      ready_.clear();
    } else {
      taken_.wait(lock, [this] { return ends_ || ready_.size() < kAhead; });
    }
    ready_.push_back(std::move(frame));
    came_.notify_all();
  }

  std::string ending_of(const std::string& failure, const DecoderLog::Entries& said) const {
    if (ends_) return {};
    const std::string& why = !failure.empty() ? failure : said.of_the_container;
    if (live_ || !failure.empty() || frames_ == 0) return why;
    if (static_cast<double>(frames_) >= kCutShort * declared_ - 1) return {};
    return fmt::format(
        "ends after {} of the {:.0f} frames that it says it has; it may be cut short",
        frames_.load(), declared_);
  }

  const DecoderLog log_;  ///< before anything is opened
  std::string source_;
  std::int64_t every_, most_pixels_;
  cv::VideoCapture capture_;
  double declared_ = 0, rate_ = 0, place_ = 0;
  bool live_ = false;
  Stopwatch since_open_;
  std::atomic<std::int64_t> frames_ = 0;
  std::atomic<bool> ends_ = false;

  mutable std::mutex mutex_;  ///< of what follows
  std::condition_variable came_, taken_;
  std::deque<VideoFrame> ready_;
  bool ended_ = false;
  std::string ending_;
  std::thread thread_;
};

VideoReader::VideoReader(const std::string& source, std::int64_t every,
                         const DecodeOptions& options)
    : reading_(std::make_unique<Reading>(source, every, options)) {}
VideoReader::~VideoReader() = default;

bool VideoReader::live() const { return reading_->live(); }
double VideoReader::frames_per_second() const { return reading_->rate(); }
std::optional<VideoFrame> VideoReader::next(const std::function<bool()>& stop) {
  return reading_->next(stop);
}
void VideoReader::forget() { reading_->forget(); }
bool VideoReader::ended() const { return reading_->ended(); }
std::int64_t VideoReader::frames() const { return reading_->frames(); }
std::string VideoReader::ending() const { return reading_->ending(); }

}  // namespace nagl
