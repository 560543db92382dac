#pragma once

#include <filesystem>

#include "nagl/detection/detector.h"
#include "nagl/image/overlay.h"

namespace nagl {

/// The colour scale that overlays of one run share: what the median patch of a good picture scores
/// is its low end, and what the hottest patches of a good picture score (its image score) lies a
/// quarter of the way up. Normal references stand for good pictures, each scored with itself left
/// out of the bank (of more than 16, 16 spread evenly), the median of them counting; a lone
/// reference is scored mirrored.
/// @param reference one of the normal references, read only if there is just one
/// @throws DataError if it cannot be read
ColourScale reference_scale(const Detector& detector, const std::filesystem::path& reference);

}  // namespace nagl
