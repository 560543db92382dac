#include "video_queries.h"

#include <fmt/format.h>

#include <chrono>
#include <ctime>
#include <thread>

#include "nagl/core/error.h"

namespace nagl::jobs {
namespace {

constexpr double kUsualRate = 10;     ///< frames a second where the source does not say
constexpr double kTriggeredRate = 2;  ///< of frames that come when somebody wants them
constexpr std::chrono::milliseconds kPause{100};

}  // namespace

std::filesystem::path frame_place(const std::filesystem::path& frame, std::int64_t number) {
  std::string name = frame.stem().string();
  // Of an address, what follows a `?` is no name.
  name = name.substr(0, name.find_first_of("?#"));
  return std::filesystem::path(name.empty() ? "video" : name) / fmt::format("{:06}.png", number);
}

Json describe(const VideoOptions& video) {
  Json described = {{"source", shown_source(video.source)},
                    {"every", video.every},
                    {"triggered", video.triggers.has_value()}};
  if (!video.annotated.empty()) described["annotated"] = video.annotated.string();
  return described;
}

VideoQueries::VideoQueries(const VideoOptions& options, const DecodeOptions& decode,
                           const JobObserver& observer)
    : options_(options),
      decode_(decode),
      observer_(observer),
      name_(shown_source(options.source)),
      reader_(std::make_unique<VideoReader>(options.source, options.every, decode)) {
  live_ = reader_->live();
  const double own = reader_->frames_per_second() > 0 ? reader_->frames_per_second() : kUsualRate;
  rate_ = options.triggers ? kTriggeredRate : own / static_cast<double>(options.every);
  if (options.triggers) {
    triggers_.emplace(*options.triggers, "the list of triggers", [this] {
      if (reader_ && live_ && reader_->ended()) lost();
      if (!reader_) try_again();
      return observer_.stopped();
    });
  }
}

std::optional<StreamedPicture> VideoQueries::next() {
  while (!observer_.stopped()) {
    std::optional<std::string> trigger;
    if (triggers_) {
      trigger = triggers_->next();
      if (!trigger) return std::nullopt;
      if (trigger->ends_with('\r')) trigger->pop_back();
      if (!reader_) return missed(trigger);  // the part has passed by when the source is back
      reader_->forget();
    }
    if (!reader_) {
      try_again();
      if (!reader_) std::this_thread::sleep_for(kPause);
      continue;
    }
    if (auto frame = reader_->next(observer_.stop)) return picture(std::move(*frame), trigger);
    if (observer_.stopped()) break;
    if (!lost()) break;
    if (trigger) return missed(trigger);
  }
  return std::nullopt;
}

StreamedPicture VideoQueries::picture(VideoFrame frame, const std::optional<std::string>& trigger) {
  if (live_) {
    frame.number += before_;
    frame.seconds += opened_at_;
  }
  StreamedPicture picture;
  picture.file.path = fmt::format("{}#{}", name_, frame.number);
  picture.trigger = trigger;
  picture.frame = std::move(frame);
  return picture;
}

StreamedPicture VideoQueries::missed(const std::optional<std::string>& trigger) {
  StreamedPicture picture;
  picture.file.path = name_;
  picture.trigger = trigger;
  picture.frame.emplace();
  picture.frame->number = frames();
  picture.frame->seconds = since_start_.seconds();
  picture.frame->taken = std::time(nullptr);
  picture.frame->fault = "has no frame for this trigger: the source is away";
  return picture;
}

bool VideoQueries::lost() {
  const std::string ending = reader_->ending();
  const std::string why = ending.empty() ? "" : ": " + ending;
  before_ += reader_->frames();
  if (!live_) {
    if (before_ == 0) throw DataError(fmt::format("'{}' holds no frame that can be read", name_));
    if (!ending.empty()) observer_.warn(fmt::format("'{}' {}", name_, ending));
    before_ -= reader_->frames();  // which are still to be asked for
    return false;
  }
  reader_.reset();
  since_try_ = Stopwatch();
  if (options_.reconnect <= 0) {
    observer_.warn(fmt::format("'{}' has ended{}", name_, why));
    return false;
  }
  observer_.warn(fmt::format("'{}' is lost{}; it is tried again every {:g} s", name_, why,
                             options_.reconnect));
  return true;
}

void VideoQueries::try_again() {
  if (options_.reconnect <= 0 || since_try_.seconds() < options_.reconnect) return;
  try {
    reader_ = std::make_unique<VideoReader>(options_.source, options_.every, decode_);
    opened_at_ = since_start_.seconds();
    observer_.info(fmt::format("'{}' is back", name_));
  } catch (const DataError&) {  // said once, when it was lost
    since_try_ = Stopwatch();
  }
}

}  // namespace nagl::jobs
