#include "runtime.h"

#include <ATen/Parallel.h>
#include <fmt/format.h>
#include <torch/torch.h>

#include <charconv>
#include <opencv2/core.hpp>

#include "nagl/core/device.h"
#include "nagl/core/error.h"
#include "nagl/core/version.h"

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

Runtime start_runtime(const RuntimeOptions& options) {
  configure_numerics();
  if (options.threads > 0) {
    at::set_num_threads(options.threads);
    cv::setNumThreads(options.threads);
  }
  Runtime runtime;
  runtime.image_size = parse_image_size(options.image_size.value_or(kDefaultImageSize));
  BackboneOptions backbone;
  backbone.layer = options.layer;
  backbone.device = parse_device(options.device);
  backbone.precision = parse_precision(options.precision.value_or(kDefaultPrecision));
  runtime.backbone = std::make_shared<Backbone>(find_backbone(options.backbone), backbone);
  runtime.backbone->check_image_size(runtime.image_size.height, runtime.image_size.width);
  runtime.batch_size = options.batch_size > 0      ? options.batch_size
                       : backbone.device.is_cuda() ? kCudaBatch
                                                   : 1;
  return runtime;
}

Json describe_runtime(const Runtime& runtime) {
  const Backbone& backbone = *runtime.backbone;
  Json described;
  described["versions"] = {{"nagl", version()}, {"torch", TORCH_VERSION}, {"opencv", CV_VERSION}};
  described["device"] = describe_device(backbone.device());
  described["precision"] = to_string(backbone.precision());
  described["threads"] = at::get_num_threads();
  described["batch_size"] = runtime.batch_size;
  described["image_size"] = {runtime.image_size.height, runtime.image_size.width};
  described["preprocess_version"] = kPreprocessVersion;
  Json file = {{"path", backbone.path().string()}, {"layer", backbone.layer()}};
  for (const auto& [key, value] : backbone.provenance()) file[key] = value;
  described["backbone"] = file;
  return described;
}

}  // namespace nagl::apps
