#pragma once

#include <memory>

#include "engine_runtime.h"
#include "nagl/image/preprocess.h"

namespace nagl::apps {

/// What RuntimeOptions resolve to.
struct Runtime {
  std::shared_ptr<const Backbone> backbone;
  ImageSize image_size;
  std::int64_t batch_size = 1;
};

/// Applies the thread count to Torch and OpenCV, finds the device and loads the backbone.
Runtime start_runtime(const RuntimeOptions& options);

/// Versions, device and backbone, for result files.
Json describe_runtime(const Runtime& runtime);

}  // namespace nagl::apps
