#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <stdexcept>
#include <vector>

#include "nagl/core/torch.h"

namespace nagl {

/// What a device is asked to do with one tensor. To be recorded it must not wait for the device nor
/// copy from the host.
using DeviceFunction = std::function<at::Tensor(const at::Tensor&)>;

/// A function of one tensor, recorded once for inputs of one shape and type, and replayed as a
/// whole: a CUDA graph, which spares the CPU the launch of every kernel. In builds without CUDA
/// there are none (src/core/cpu), and functions are called as they are.
class DeviceGraph {
 public:
  virtual ~DeviceGraph() = default;

  /// @param input of the shape, type and device it was recorded for
  /// @return a tensor of its own, as `function(input)` would give
  /// @throws std::invalid_argument on another input
  virtual at::Tensor replay(const at::Tensor& input) = 0;
};

/// A recording that failed, with the device's own words.
struct GraphError : std::runtime_error {
  using std::runtime_error::runtime_error;
};

/// Warms up, and records `function` for inputs like `example`.
/// @return null where the device has no graphs, or has none any more: once a recording was broken
/// off, Torch's allocator of the device may not be recorded again in this process
/// @throws GraphError if it cannot be recorded, mostly for want of memory
std::unique_ptr<DeviceGraph> record_graph(const at::Tensor& example,
                                          const DeviceFunction& function);

/// Whether the calling thread's current stream is the device's default one: graphs are recorded
/// for work that is in one order.
bool on_default_stream(at::Device device);

/// What became of the calls of a `GraphCache`.
struct GraphCounts {
  std::int64_t recorded = 0, replayed = 0, failed = 0;
};

/// Recorded calls of one function by the shape of their input. Safe to use from several threads.
class GraphCache {
 public:
  using Recorder =
      std::function<std::unique_ptr<DeviceGraph>(const at::Tensor&, const DeviceFunction&)>;

  /// @param recorder `record_graph`, or what stands for it in a test
  explicit GraphCache(Recorder recorder = record_graph) : recorder_(std::move(recorder)) {}

  /// Calls `function`, from the second time that a shape comes by its recording. Recordings hold
  /// memory, so there are four at most. A failure is logged once a process; the function is then
  /// called as it is.
  at::Tensor run(const at::Tensor& input, const DeviceFunction& function);
  GraphCounts counts() const;

 private:
  using Shape = std::vector<std::int64_t>;

  /// The recording of `input`'s shape; null: there is none (yet).
  DeviceGraph* graph_for(const at::Tensor& input, const DeviceFunction& function);

  Recorder recorder_;
  mutable std::mutex mutex_;
  std::set<Shape> passed_;  ///< once, without trouble
  std::map<Shape, std::unique_ptr<DeviceGraph>> graphs_;
  GraphCounts counts_;
};

}  // namespace nagl
