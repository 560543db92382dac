#pragma once

#include <memory>
#include <string>

#include "nagl/core/json.h"
#include "nagl/image/preprocess.h"
#include "nagl/model/backbone.h"
#include "runtime_options.h"

namespace nagl::apps {

/// `N` or `HxW`. Throws ConfigError on anything else.
ImageSize parse_image_size(const std::string& text);

/// What RuntimeOptions resolve to.
struct Runtime {
  std::shared_ptr<const Backbone> backbone;
  ImageSize image_size;
  std::int64_t batch_size = 1;
};

/// Applies the thread count, finds the device and loads the backbone.
Runtime start_runtime(const RuntimeOptions& options);

/// Versions, device and backbone, for result files.
Json describe_runtime(const Runtime& runtime);

}  // namespace nagl::apps
