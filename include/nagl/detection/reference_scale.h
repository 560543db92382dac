#pragma once

#include "nagl/detection/detector.h"
#include "nagl/image/overlay.h"

namespace nagl {

/// The colour scale of raw scores that overlays of one run share, from `Bank::probe_scores`, which
/// stand for good pictures: their median patch is the low end, the median peak of their maps is
/// `good`; where there are thresholds `good` is that of the map. The high end lies three times as
/// far from the low one as `good`, twice for bounded methods that use abnormal references (whose
/// scores have less room above), and never above the largest score there is.
/// @param roi where to look in all pictures, beside the bank's own: uint8 [H, W], above 0 inside;
///        empty: everywhere. Neither counts for a bank of tiles, which lie anywhere
/// @throws DataError if the ROI is empty
ColourScale reference_scale(const Detector& detector, const cv::Mat& roi = {});

}  // namespace nagl
