#include "nagl/core/device_graph.h"

#include <ATen/cuda/CUDAGraph.h>
#include <c10/core/DeviceGuard.h>
#include <c10/core/StreamGuard.h>
#include <c10/cuda/CUDAStream.h>

#include <stdexcept>

namespace nagl {
namespace {

constexpr int kWarmUps = 3;

class CudaGraph : public DeviceGraph {
 public:
  CudaGraph(const at::Tensor& example, const std::function<at::Tensor(const at::Tensor&)>& function)
      : input_(example.clone()) {
    const c10::DeviceGuard device_guard(example.device());
    const auto caller = c10::cuda::getCurrentCUDAStream();
    // A stream of its own: the default one cannot be recorded. What was asked of the caller's must
    // be done before, and the other way round after.
    caller.synchronize();
    // Of high priority, so that it is none that `upload` uses.
    const auto stream = c10::cuda::getStreamFromPool(/*isHighPriority=*/true);
    const c10::StreamGuard stream_guard(stream.unwrap());
    for (int i = 0; i < kWarmUps; ++i) function(input_);
    stream.synchronize();
    graph_.capture_begin({0, 0}, cudaStreamCaptureModeThreadLocal);
    try {
      output_ = function(input_);
    } catch (...) {
      end_after_failure();
      throw;
    }
    graph_.capture_end();
    stream.synchronize();
  }

  at::Tensor replay(const at::Tensor& input) override {
    if (input.sizes() != input_.sizes() || input.scalar_type() != input_.scalar_type() ||
        input.device() != input_.device()) {
      throw std::invalid_argument("a graph was recorded for another shape, type or device");
    }
    const c10::DeviceGuard device_guard(input_.device());
    input_.copy_(input, /*non_blocking=*/true);
    graph_.replay();
    return output_.clone();
  }

 private:
  /// A recording that failed must still be ended, which may fail too.
  void end_after_failure() {
    try {
      graph_.capture_end();
    } catch (const c10::Error&) {
    }
  }

  at::Tensor input_, output_;
  at::cuda::CUDAGraph graph_;
};

}  // namespace

std::unique_ptr<DeviceGraph> record_graph(
    const at::Tensor& example, const std::function<at::Tensor(const at::Tensor&)>& function) {
  if (!example.is_cuda()) return nullptr;
  try {
    return std::make_unique<CudaGraph>(example, function);
  } catch (const c10::Error&) {  // mostly of too little memory, which has many forms here
    return nullptr;
  }
}

bool on_default_stream(at::Device device) {
  if (!device.is_cuda()) return true;
  return c10::cuda::getCurrentCUDAStream(device.index()) ==
         c10::cuda::getDefaultCUDAStream(device.index());
}

}  // namespace nagl
