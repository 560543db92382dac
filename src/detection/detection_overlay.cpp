#include "nagl/detection/detection_overlay.h"

#include <fmt/format.h>

namespace nagl {

OverlayContent overlay_content(const Image& image, const Detection& detection,
                               const std::optional<ColourScale>& scale) {
  OverlayContent content;
  content.rgb = image.rgb;
  const ScoreRange range = detection.scores.range();
  content.map = range == ScoreRange::kUnit ? detection.map : detection.scores.raw_map();
  content.shown = [range](double score) { return shown_score(score, range); };
  content.roi = detection.scores.roi();
  content.scale = scale ? *scale : scale_of(content.map, content.roi);
  content.caption = fmt::format("score {:.4f}", detection.image_score);
  if (detection.verdict != Verdict::kUnknown) {
    content.caption += "   " + to_string(detection.verdict);
    content.regions = detection.region_mask;
  }
  return content;
}

}  // namespace nagl
