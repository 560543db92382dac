#include "engine_runtime.h"

#include <ATen/Parallel.h>
#include <fmt/format.h>
#include <spdlog/spdlog.h>
#include <torch/torch.h>

#include <charconv>
#include <cstdlib>

#include "nagl/core/device.h"
#include "nagl/core/error.h"
#include "nagl/core/threads.h"

namespace nagl::apps {
namespace {

constexpr std::int64_t kLargestSide = 16384;

std::optional<std::int64_t> parse_side(std::string_view text) {
  std::int64_t side = 0;
  const auto result = std::from_chars(text.data(), text.data() + text.size(), side);
  const bool whole = result.ec == std::errc() && result.ptr == text.data() + text.size();
  if (!whole || side < 1 || side > kLargestSide) return std::nullopt;
  return side;
}

}  // namespace

ImageSize parse_image_size(const std::string& text) {
  const auto cross = text.find_first_of("xX");
  const auto height = parse_side(std::string_view(text).substr(0, cross));
  const auto width =
      cross == std::string::npos ? height : parse_side(std::string_view(text).substr(cross + 1));
  if (!height || !width) {
    throw ConfigError(
        fmt::format("image size '{}' is not N or HxW with sides in 1..{}", text, kLargestSide));
  }
  return {*height, *width};
}

int set_threads(const RuntimeOptions& options) {
  if (options.threads > 0) {
    at::set_num_threads(options.threads);
  } else if (std::getenv("OMP_NUM_THREADS") == nullptr) {
    at::set_num_threads(sensible_threads());
  }
  return at::get_num_threads();
}

std::shared_ptr<const Backbone> load_backbone(const RuntimeOptions& options, bool random,
                                              bool graphs) {
  BackboneOptions backbone;
  backbone.layer = options.layer;
  backbone.device = parse_device(options.device);
  backbone.precision = parse_as<Precision>(options.precision.value_or(kDefaultPrecision));
  backbone.graphs = graphs;
  backbone.batch_shrunk = [](std::int64_t most) {
    spdlog::warn("the device has too little memory for such a batch: going on with {} at a time",
                 most);
  };
  if (random) return std::make_shared<Backbone>(RandomWeights(), backbone);
  return std::make_shared<Backbone>(find_backbone(options.backbone), backbone);
}

Json describe_backbone(const Backbone& backbone) {
  Json described;
  described["device"] = describe_device(backbone.device());
  described["precision"] = to_string(backbone.precision());
  described["threads"] = at::get_num_threads();
  Json file = {{"path", backbone.path().string()}, {"layer", backbone.layer()}};
  for (const auto& [key, value] : backbone.provenance()) file[key] = value;
  described["backbone"] = file;
  return described;
}

}  // namespace nagl::apps
