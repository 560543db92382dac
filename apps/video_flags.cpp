#include "video_flags.h"

#include "flags.h"

namespace nagl::apps {

void add_video_flags(CLI::App& command, jobs::VideoOptions& video, bool& triggered,
                     bool& normal_frames) {
  constexpr const char* kVideo = "Video";
  command
      .add_option("--video", video.source,
                  "Score the frames of a video file, a camera (/dev/video0) or a stream "
                  "(rtsp://...), one JSON line each; of the last two always the newest")
      ->group(kVideo);
  command.add_option("--every", video.every, "Of the frames take each n-th")
      ->check(CLI::Range(std::int64_t{1}, std::int64_t{1} << 40))
      ->capture_default_str()
      ->group(kVideo);
  command
      .add_flag("--trigger", triggered,
                "Take a frame for each line of standard input, one that comes after it; the line "
                "comes back in the record as `trigger`")
      ->group(kVideo);
  command
      .add_option("--video-out", video.annotated,
                  "Write the overlays of what was scored as a video: .mp4, .mkv or .avi")
      ->group(kVideo);
  command
      .add_flag("--normal-frames", normal_frames,
                "Maps and overlays in --out of normal frames too, where there are verdicts")
      ->group(kVideo);
  command
      .add_option("--reconnect", video.reconnect,
                  "Seconds between tries to get a camera or stream back that was lost; 0 ends then")
      ->check(real_range(0.0, 86400.0))
      ->capture_default_str()
      ->group(kVideo);
}

}  // namespace nagl::apps
