#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <opencv2/imgproc.hpp>
#include <opencv2/videoio.hpp>
#include <optional>
#include <random>
#include <utility>

#include "decoder_log.h"
#include "nagl/core/error.h"
#include "nagl/core/made_folders.h"
#include "nagl/core/stderr_capture.h"
#include "nagl/core/text.h"
#include "nagl/image/video.h"

namespace nagl {
namespace {

namespace fs = std::filesystem;

constexpr const char* kBegin = ".nagl-";

/// The codecs of a kind of file, the preferred one first.
std::vector<std::string> codecs_of(const fs::path& file) {
  const std::string extension = lower_case(file.extension().string());
  if (extension == ".mp4" || extension == ".mkv") return {"avc1", "mp4v"};
  if (extension == ".avi") return {"MJPG"};
  throw ConfigError(
      fmt::format("'{}' is no name of a video; give .mp4, .mkv or .avi", file.string()));
}

/// Removes what killed processes left, as AtomicFile does it: OpenCV wants names of its own.
void remove_left_behind(const fs::path& folder, const std::string& extension) {
  std::error_code error;
  const auto now = fs::file_time_type::clock::now();
  for (const auto& entry : fs::directory_iterator(folder.empty() ? "." : folder, error)) {
    const std::string name = entry.path().filename().string();
    if (!name.starts_with(kBegin) || !name.ends_with(extension)) continue;
    const auto written = entry.last_write_time(error);
    if (error || now - written < std::chrono::hours(1)) continue;
    const int file = ::open(entry.path().c_str(), O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    if (file < 0) continue;
    if (::flock(file, LOCK_EX | LOCK_NB) == 0) ::unlink(entry.path().c_str());
    ::close(file);
  }
}

}  // namespace

class VideoWriter::Writing {
 public:
  Writing(fs::path file, double rate)
      : codecs_(codecs_of(file)),
        file_(std::move(file)),
        folders_(file_.parent_path()),
        rate_(rate) {
    const std::string extension = file_.extension().string();
    remove_left_behind(file_.parent_path(), extension);
    std::random_device random;
    temporary_ = file_.parent_path() /
                 fmt::format("{}{:08x}{:08x}{}", kBegin, random(), random(), extension);
    // Now, so that a folder that cannot be written is known before anything is computed.
    descriptor_ = ::open(temporary_.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    if (descriptor_ < 0) fail("check the folder's permissions and the free disk space");
    ::flock(descriptor_, LOCK_EX | LOCK_NB);  // tells others that it is in use
  }

  ~Writing() {
    writer_.release();
    if (descriptor_ < 0) return;
    ::close(descriptor_);
    ::unlink(temporary_.c_str());
  }

  void add(const cv::Mat& rgb) {
    const StderrCapture quiet;
    if (size_.empty()) start(rgb.size());
    cv::Mat bgr;
    cv::cvtColor(rgb, bgr, cv::COLOR_RGB2BGR);
    writer_.write(fitted(bgr));
    ++frames_;
  }

  void finish() {
    if (frames_ == 0) return;
    const StderrCapture quiet;
    writer_.release();
    // OpenCV does not say whether all could be written.
    const cv::VideoCapture check(temporary_.string(), cv::CAP_FFMPEG);
    const double declared = check.isOpened() ? check.get(cv::CAP_PROP_FRAME_COUNT) : 0;
    if (std::abs(declared - static_cast<double>(frames_)) >
        1 + 0.05 * static_cast<double>(frames_)) {
      fail("check the free disk space");
    }
    if (::fsync(descriptor_) != 0 || ::rename(temporary_.c_str(), file_.c_str()) != 0) {
      fail("check the folder's permissions and the free disk space");
    }
    ::close(std::exchange(descriptor_, -1));
  }

 private:
  [[noreturn]] void fail(const char* remedy) {
    throw DataError(fmt::format("cannot write '{}'; {}", file_.string(), remedy));
  }

  void start(cv::Size first) {
    size_ = {first.width + first.width % 2,
             first.height + first.height % 2};  // H.264 has no odd ones
    for (const std::string& codec : codecs_) {
      const int code = cv::VideoWriter::fourcc(codec[0], codec[1], codec[2], codec[3]);
      try {
        if (writer_.open(temporary_.string(), cv::CAP_FFMPEG, code, rate_, size_)) return;
      } catch (const cv::Exception&) {  // as if it could not be opened
      }
    }
    fail("this build of OpenCV has no codec for such files; try another of .mp4, .mkv and .avi");
  }

  /// Scaled to fit where it is of another size, with a black rim.
  cv::Mat fitted(const cv::Mat& picture) const {
    if (picture.size() == size_) return picture;
    cv::Mat canvas(size_, picture.type(), cv::Scalar::all(0));
    cv::Mat scaled = picture;
    const bool rim_alone = size_.width - picture.cols >= 0 && size_.width - picture.cols <= 1 &&
                           size_.height - picture.rows >= 0 && size_.height - picture.rows <= 1;
    if (!rim_alone) {
      const double factor = std::min(static_cast<double>(size_.width) / picture.cols,
                                     static_cast<double>(size_.height) / picture.rows);
      cv::resize(picture, scaled,
                 {std::clamp(static_cast<int>(picture.cols * factor), 1, size_.width),
                  std::clamp(static_cast<int>(picture.rows * factor), 1, size_.height)},
                 0, 0, cv::INTER_AREA);
    }
    scaled.copyTo(canvas(cv::Rect({0, 0}, scaled.size())));
    return canvas;
  }

  const DecoderLog log_;
  std::vector<std::string> codecs_;
  fs::path file_;
  MadeFolders folders_;
  double rate_;
  fs::path temporary_;
  int descriptor_ = -1;
  cv::VideoWriter writer_;
  cv::Size size_;
  std::int64_t frames_ = 0;
};

VideoWriter::VideoWriter(fs::path file, double frames_per_second)
    : writing_(std::make_unique<Writing>(std::move(file), frames_per_second)) {}
VideoWriter::~VideoWriter() = default;
void VideoWriter::add(const cv::Mat& rgb) { writing_->add(rgb); }
void VideoWriter::finish() { writing_->finish(); }

}  // namespace nagl
