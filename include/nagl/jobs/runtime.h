#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>

#include "nagl/core/json.h"
#include "nagl/jobs/observer.h"
#include "nagl/model/backbone.h"

namespace nagl::jobs {

/// Where a job computes, and by which backbone; results do not depend on it but for the last
/// digits.
struct RuntimeOptions {
  std::filesystem::path backbone;  ///< file; empty: where `find_backbone` finds it
  std::string device = "auto";     ///< as `parse_device` takes it
  int threads = 0;                 ///< CPU threads; 0: one a physical core, unless $OMP_NUM_THREADS
  std::int64_t batch_size = 0;     ///< views a backbone pass; 0: 1 on the CPU, 16 on CUDA
  /// Of several processes on a machine: each takes another GPU where `device` names none.
  std::optional<std::int64_t> local_rank = {};
};

/// Where it computes. @throws ConfigError, DeviceError as `parse_device` does
at::Device device_of(const RuntimeOptions& options);

/// Views a backbone pass on CUDA, where not said otherwise.
inline constexpr std::int64_t kCudaBatch = 16;

/// Gives Torch the threads asked for. @return how many it has then
int set_threads(const RuntimeOptions& options);

/// How a job's backbone is loaded beside its RuntimeOptions.
struct BackboneRequest {
  std::optional<std::int64_t> layer;
  Precision precision = Precision::kFloat32;
  bool random_weights = false;  ///< no file is read
  bool graphs = true;           ///< as in BackboneOptions
};

/// Finds the device and the backbone file, and loads it.
/// @throws DeviceError, ModelError, ConfigError as `parse_device`, `find_backbone` and `Backbone`
/// do
std::shared_ptr<const Backbone> load_backbone(const RuntimeOptions& options,
                                              const BackboneRequest& request,
                                              const JobObserver& observer);

/// The options' batch size, or what suits the device.
std::int64_t batch_size_for(const RuntimeOptions& options, const Backbone& backbone);

/// Device, precision, threads and backbone, for result files.
Json describe_backbone(const Backbone& backbone);

}  // namespace nagl::jobs
