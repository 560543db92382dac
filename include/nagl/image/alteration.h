#pragma once

#include <opencv2/core/mat.hpp>

namespace nagl {

/// What happens to a part between two pictures of it.
struct Alteration {
  double degrees = 0;  ///< turned about the centre, anticlockwise
  double shift_x = 0;  ///< share of the width
  double shift_y = 0;  ///< share of the height
  double gain = 1;     ///< brightness, of the values 0..255
};

/// A picture so altered. Turned by 90, 180 or 270 degrees and not shifted, each pixel is moved as
/// it is, and a quarter turn swaps the sides; else the size stays, and what comes in from outside
/// mirrors the inside.
/// @param rgb uint8 [H, W, 3]
cv::Mat altered(const cv::Mat& rgb, const Alteration& alteration);

}  // namespace nagl
