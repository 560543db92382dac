#pragma once

#include <memory>
#include <string>

#include "nagl/core/image_size.h"
#include "nagl/core/json.h"
#include "nagl/model/backbone.h"
#include "runtime_options.h"

namespace nagl::apps {

/// `N` or `HxW`. Throws ConfigError on anything else.
ImageSize parse_image_size(const std::string& text);

/// Gives Torch the threads asked for, else as many as make sense on this machine, unless
/// `$OMP_NUM_THREADS` says. @return how many
int set_threads(const RuntimeOptions& options);

/// Finds the device, and the backbone if its weights are not to be random, and loads it.
/// @param graphs as in BackboneOptions
std::shared_ptr<const Backbone> load_backbone(const RuntimeOptions& options, bool random = false,
                                              bool graphs = true);

/// Device, precision, threads and backbone, for result files.
Json describe_backbone(const Backbone& backbone);

}  // namespace nagl::apps
