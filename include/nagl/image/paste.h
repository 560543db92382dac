#pragma once

#include <opencv2/core/mat.hpp>

namespace nagl {

/// A picture into which a region of another one was blended, turned about its middle, in the light
/// of where it comes to lie: what lies around the region has the same mean in both.
/// @param rgb uint8 [H, W, 3]
/// @param source uint8 [h, w, 3], brought to the size of `rgb`
/// @param mask uint8 [h, w], above 0 in the region
/// @param degrees anticlockwise
/// @return as `rgb`; the same where the mask is empty
cv::Mat pasted(const cv::Mat& rgb, const cv::Mat& source, const cv::Mat& mask, double degrees = 0);

}  // namespace nagl
