#include "nagl/detection/derived_mask.h"

#include <opencv2/core.hpp>

#include "nagl/image/anomaly_map.h"

namespace nagl {

DerivedMask derive_mask(const Detector& detector, const Image& image) {
  DerivedMask derived;
  derived.map = detector.detect(image).map;
  derived.mask = hot_regions(derived.map);
  if (cv::countNonZero(derived.mask) == 0) derived.mask.setTo(255);  // a constant map says nothing
  return derived;
}

}  // namespace nagl
