#pragma once

#include <filesystem>
#include <memory>

#include "nagl/core/torch.h"
#include "nagl/model/backbone.h"
#include "nagl/model/weights.h"
#include "nagl/nn/vision_transformer.h"

namespace nagl::testing {

/// A backbone of random weights: width 64, patches of 4 pixels.
inline std::shared_ptr<const Backbone> tiny_backbone(const std::filesystem::path& folder,
                                                     std::int64_t depth = 1) {
  VisionTransformerOptions options;
  options.width = 64;
  options.depth = depth;
  options.hidden = 64;
  options.grid = 2;
  options.patch = 4;
  VisionTransformer network(options);
  const at::NoGradGuard no_grad;
  const auto random = at::make_generator<at::CPUGeneratorImpl>(7);
  for (auto& parameter : network->parameters()) parameter.normal_(0, 0.1, random);
  write_weights(folder / "backbone.safetensors", state_of(*network),
                {{"recommended_layer", std::to_string(network->options().depth - 1)}});
  return std::make_shared<const Backbone>(folder / "backbone.safetensors", BackboneOptions());
}

}  // namespace nagl::testing
