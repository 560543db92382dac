#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "nagl/detection/bank.h"
#include "nagl/model/backbone.h"

namespace nagl {

/// The bank that was never given some of its pictures: tensor by tensor the same, unless it is
/// thinned. Then rows of the others were chosen with these in sight, and stay as they are. Without
/// a calibration, and without what was decided of these pictures.
/// @param left_out called where what good pictures look like cannot be told any more, with why: the
///        one that is left is not what or where it was, and colours are those of a usual part
/// @throws ConfigError if nothing would be left that its method needs
/// @throws ModelError if the bank belongs to another backbone, layer or width
Bank without_pictures(const std::shared_ptr<const Backbone>& backbone, const Bank& bank,
                      const PictureIndices& pictures,
                      const std::function<void(const std::string& why)>& left_out = {});

/// The pictures of two banks in one, the first one's before; of copies the first. Tensor by tensor
/// the bank that was given all of them, unless one is thinned. Without a calibration.
/// @throws ConfigError if they were made with different options, models or regions of interest
/// @throws ModelError if they belong to another backbone, layer or width
Bank joined(const std::shared_ptr<const Backbone>& backbone, const Bank& first, const Bank& second);

}  // namespace nagl
