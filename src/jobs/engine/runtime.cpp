#include "nagl/jobs/runtime.h"

#include <ATen/Parallel.h>
#include <fmt/format.h>
#include <torch/cuda.h>

#include <cstdlib>

#include "nagl/core/device.h"
#include "nagl/core/threads.h"

namespace nagl::jobs {

at::Device device_of(const RuntimeOptions& options) {
  const at::Device device = parse_device(options.device);
  const bool named = options.device.find(':') != std::string::npos;  // a certain GPU
  if (!device.is_cuda() || named || !options.local_rank) return device;
  return parse_device(fmt::format(
      "cuda:{}", *options.local_rank % static_cast<std::int64_t>(torch::cuda::device_count())));
}

int set_threads(const RuntimeOptions& options) {
  if (options.threads > 0) {
    at::set_num_threads(options.threads);
  } else if (std::getenv("OMP_NUM_THREADS") == nullptr) {
    at::set_num_threads(sensible_threads());
  }
  return at::get_num_threads();
}

std::shared_ptr<const Backbone> load_backbone(const RuntimeOptions& options,
                                              const BackboneRequest& request,
                                              const JobObserver& observer) {
  BackboneOptions backbone;
  backbone.layer = request.layer;
  backbone.device = device_of(options);
  backbone.precision = request.precision;
  backbone.graphs = request.graphs;
  backbone.batch_shrunk = [observer](std::int64_t most) {
    observer.warn(fmt::format(
        "the device has too little memory for such a batch: going on with {} at a time", most));
  };
  if (request.random_weights) return std::make_shared<Backbone>(RandomWeights(), backbone);
  return std::make_shared<Backbone>(find_backbone(options.backbone), backbone);
}

std::int64_t batch_size_for(const RuntimeOptions& options, const Backbone& backbone) {
  if (options.batch_size > 0) return options.batch_size;
  return backbone.device().is_cuda() ? kCudaBatch : 1;
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

}  // namespace nagl::jobs
