#pragma once

#include "nagl/core/json.h"
#include "nagl/encoding/picture_encoder.h"
#include "nagl/jobs/observer.h"
#include "nagl/jobs/runtime.h"

namespace nagl::jobs {

/// Gives Torch and OpenCV their threads, finds the device and loads the backbone.
/// @throws as `load_backbone`; ConfigError on encoding options that it does not take
PictureEncoder make_encoder(const RuntimeOptions& runtime, const EncodingOptions& options,
                            const JobObserver& observer);

/// Versions, device, backbone and encoding, for result files.
Json describe_encoder(const PictureEncoder& encoder);

}  // namespace nagl::jobs
