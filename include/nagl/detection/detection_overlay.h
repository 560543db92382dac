#pragma once

#include <optional>

#include "nagl/detection/detector.h"
#include "nagl/image/image.h"
#include "nagl/image/overlay.h"

namespace nagl {

/// What an overlay shows of a detection: the picture, its map, score, verdict and regions.
/// @param image that was looked at
/// @param scale of raw scores, as `reference_scale` gives it; null: that of this picture alone
OverlayContent overlay_content(const Image& image, const Detection& detection,
                               const std::optional<ColourScale>& scale);

}  // namespace nagl
