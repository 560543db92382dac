#include "nagl/core/device_graph.h"

#include <ATen/cuda/CUDAGraph.h>
#include <c10/core/DeviceGuard.h>
#include <c10/core/StreamGuard.h>
#include <c10/cuda/CUDACachingAllocator.h>
#include <c10/cuda/CUDAStream.h>

#include <atomic>

namespace nagl {
namespace {

constexpr int kWarmUps = 3;

/// Where a device's graphs are recorded, one after the other: the allocator keeps memory by stream
/// and by pool, so they share both.
struct Studio {
  c10::cuda::CUDAStream stream;
  std::mutex mutex;  ///< of recording, and of replays: one graph may work in another's memory

  static Studio& of(c10::DeviceIndex index) {
    static std::mutex mutex;
    static std::map<c10::DeviceIndex, Studio> known;
    const std::lock_guard lock(mutex);
    return known.try_emplace(index, index).first->second;
  }

  // Of high priority, so that it is none that `upload` uses.
  explicit Studio(c10::DeviceIndex index)
      : stream(c10::cuda::getStreamFromPool(/*isHighPriority=*/true, index)) {}

  /// The pool of the graphs that live: the allocator gives up one that nobody uses any more.
  std::shared_ptr<const at::cuda::MempoolId_t> pool() {
    auto shared = pool_.lock();
    if (!shared) {
      shared = std::make_shared<const at::cuda::MempoolId_t>(at::cuda::graph_pool_handle());
      pool_ = shared;
    }
    return shared;
  }

 private:
  std::weak_ptr<const at::cuda::MempoolId_t> pool_;
};

/// Set once a recording was broken off: what the allocator knows of it cannot be taken back.
std::atomic<bool> broken_off = false;

class CudaGraph : public DeviceGraph {
 public:
  CudaGraph(const at::Tensor& example, const DeviceFunction& function)
      : input_(example.clone()), studio_(Studio::of(example.device().index())) {
    const std::lock_guard lock(studio_.mutex);
    const c10::DeviceGuard device_guard(example.device());
    const auto caller = c10::cuda::getCurrentCUDAStream();
    // A stream of its own: the default one cannot be recorded. What was asked of the caller's must
    // be done before, and the other way round after.
    caller.synchronize();
    const c10::StreamGuard stream_guard(studio_.stream.unwrap());
    for (int i = 0; i < kWarmUps; ++i) function(input_);
    studio_.stream.synchronize();
    pool_ = studio_.pool();
    auto graph = std::make_unique<at::cuda::CUDAGraph>();
    try {
      graph->capture_begin(*pool_, cudaStreamCaptureModeThreadLocal);
      output_ = function(input_);
      graph->capture_end();
    } catch (...) {
      broken_off = true;
      end_after_failure(*graph);
      static_cast<void>(graph.release());  // the allocator's filter still points to it
      throw;
    }
    graph_ = std::move(graph);
    studio_.stream.synchronize();
  }

  at::Tensor replay(const at::Tensor& input) override {
    if (input.sizes() != input_.sizes() || input.scalar_type() != input_.scalar_type() ||
        input.device() != input_.device()) {
      throw std::invalid_argument("a graph was recorded for another shape, type or device");
    }
    const std::lock_guard lock(studio_.mutex);
    const c10::DeviceGuard device_guard(input_.device());
    input_.copy_(input, /*non_blocking=*/true);
    graph_->replay();
    return output_.clone();
  }

 private:
  /// A recording that failed must still be ended, which may fail too.
  void end_after_failure(at::cuda::CUDAGraph& graph) const {
    try {
      graph.capture_end();
    } catch (const c10::Error&) {
      c10::cuda::CUDACachingAllocator::endAllocateToPool(input_.device().index(), *pool_);
    }
  }

  at::Tensor input_, output_;
  Studio& studio_;
  std::shared_ptr<const at::cuda::MempoolId_t> pool_;
  std::unique_ptr<at::cuda::CUDAGraph> graph_;
};

}  // namespace

std::unique_ptr<DeviceGraph> record_graph(const at::Tensor& example,
                                          const DeviceFunction& function) {
  if (!example.is_cuda() || broken_off) return nullptr;
  try {
    return std::make_unique<CudaGraph>(example, function);
  } catch (const c10::Error& error) {
    throw GraphError(error.what_without_backtrace());
  }
}

bool on_default_stream(at::Device device) {
  if (!device.is_cuda()) return true;
  return c10::cuda::getCurrentCUDAStream(device.index()) ==
         c10::cuda::getDefaultCUDAStream(device.index());
}

}  // namespace nagl
