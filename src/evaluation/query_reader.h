#pragma once

#include <torch/torch.h>

#include <opencv2/core/mat.hpp>
#include <optional>

#include "nagl/dataset/dataset.h"
#include "nagl/detection/detector.h"
#include "nagl/metrics/pixel_metrics.h"

namespace nagl {

/// A query as it is scored, and what it should give.
struct ReadQuery {
  const Sample* sample = nullptr;
  at::Tensor pixels;             ///< [3, H, W] float32
  cv::Size size;                 ///< the picture's own
  bool anomalous = false;        ///< as the protocol counts it
  std::optional<Regions> truth;  ///< at the picture's own size; nothing where it is not known
};

/// @param empty_is_good whether a defective picture with an empty mask counts as good
/// @throws DataError naming the file if it cannot be read
ReadQuery read_query(const Sample& sample, const DetectorOptions& detection, bool empty_is_good);

}  // namespace nagl
