#pragma once

#include <filesystem>

#include "nagl/detection/detector.h"
#include "nagl/image/overlay.h"

namespace nagl {

/// The colour scale that overlays of one run share. Normal references stand for good pictures, each
/// scored with itself left out of the bank (of more than 16, 16 spread evenly); a lone reference is
/// scored mirrored. Their median patch is the low end, the median peak of their maps is `good`.
/// The high end lies three times as far from the low one as `good`, twice for methods that use
/// abnormal references (whose scores have less room above), and never above 1, the largest score
/// there is.
/// @param reference one of the normal references, read only if there is just one
/// @param roi where to look in all pictures: uint8 [H, W], above 0 inside; empty: everywhere
/// @throws DataError if the reference cannot be read or the ROI is empty
ColourScale reference_scale(const Detector& detector, const std::filesystem::path& reference,
                            const cv::Mat& roi = {});

}  // namespace nagl
