#pragma once

#include <functional>
#include <memory>

#include "nagl/core/torch.h"

namespace nagl {

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

/// Warms up, and records `function` for inputs like `example`. It must not wait for the device nor
/// copy from the host.
/// @return nothing where the device has no graphs, no memory for one, or fails otherwise
std::unique_ptr<DeviceGraph> record_graph(
    const at::Tensor& example, const std::function<at::Tensor(const at::Tensor&)>& function);

/// Whether the calling thread's current stream is the device's default one: graphs are recorded
/// for work that is in one order.
bool on_default_stream(at::Device device);

}  // namespace nagl
