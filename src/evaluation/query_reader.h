#pragma once

#include <optional>
#include <vector>

#include "nagl/dataset/dataset.h"
#include "nagl/dataset/region_of_interest.h"
#include "nagl/detection/query.h"
#include "nagl/encoding/picture_encoder.h"
#include "nagl/image/mask.h"
#include "nagl/metrics/pixel_metrics.h"

namespace nagl {

/// A query as it is scored, and what it should give.
struct ReadQuery {
  const Sample* sample = nullptr;
  Query query;
  bool anomalous = false;        ///< as the protocol counts it
  std::optional<Regions> truth;  ///< at the picture's own size; nothing where it is not known
  std::vector<Remark> remarks;   ///< of the picture, its masks and its region of interest
};

/// @param roi where to look
/// @param empty_is_good whether a defective picture with an empty mask counts as good
/// @throws DataError naming the file if it cannot be read
ReadQuery read_query(const PictureEncoder& encoder, const Category& category, const Sample& sample,
                     const RoiFinder& roi, bool empty_is_good);

}  // namespace nagl
