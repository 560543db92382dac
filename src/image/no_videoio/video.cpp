#include "nagl/image/video.h"

#include "nagl/core/error.h"

namespace nagl {
namespace {

[[noreturn]] void fail() {
  throw ConfigError(
      "videos: nagl was built without OpenCV's videoio; install it (libopencv-videoio-dev) and "
      "build again");
}

}  // namespace

class VideoReader::Reading {};
class VideoWriter::Writing {};

VideoReader::VideoReader(const std::string&, std::int64_t, const DecodeOptions&) { fail(); }
VideoReader::~VideoReader() = default;
bool VideoReader::live() const { fail(); }
double VideoReader::frames_per_second() const { fail(); }
std::optional<VideoFrame> VideoReader::next(const std::function<bool()>&) { fail(); }
void VideoReader::forget() { fail(); }
bool VideoReader::ended() const { fail(); }
std::int64_t VideoReader::frames() const { fail(); }
std::string VideoReader::ending() const { fail(); }

VideoWriter::VideoWriter(std::filesystem::path, double) { fail(); }
VideoWriter::~VideoWriter() = default;
void VideoWriter::add(const cv::Mat&) { fail(); }
void VideoWriter::finish() { fail(); }

}  // namespace nagl
