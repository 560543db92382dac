#include "nagl/core/device.h"

#include <ATen/DeviceAccelerator.h>
#include <ATen/Parallel.h>
#include <c10/core/StreamGuard.h>
#include <torch/cuda.h>

#include <algorithm>
#include <fstream>
#include <map>
#include <mutex>
#include <stdexcept>

#include "device_facts.h"
#include "nagl/core/error.h"
#include "nagl/core/text.h"
#include "nagl/core/torch.h"

namespace nagl {
namespace {

std::string processor_name() {
  std::ifstream file("/proc/cpuinfo");
  for (std::string line; std::getline(file, line);) {
    if (line.starts_with("model name")) {
      const auto colon = line.find(": ");
      if (colon != std::string::npos) return line.substr(colon + 2);
    }
  }
  return "unknown processor";
}

/// The index of a device that was perhaps named without one.
c10::DeviceIndex index_of(at::Device device) {
  return device.has_index() ? device.index() : at::accelerator::getDeviceIndex();
}

bool multiplies_bfloat16(const at::Device& device) {
  if (device.is_cuda()) return cuda_multiplies_bfloat16(index_of(device));
#if defined(__x86_64__)
  return __builtin_cpu_supports("amx-bf16") != 0;
#else
  return false;
#endif
}

/// The stream that copies to a device; the allocator keeps memory by stream, so it is always the
/// same.
c10::Stream copy_stream(at::Device device, const c10::impl::VirtualGuardImpl& streams) {
  static std::mutex mutex;
  static std::map<c10::DeviceIndex, c10::Stream> known;
  const std::lock_guard lock(mutex);
  const c10::DeviceIndex index = index_of(device);
  const auto found = known.find(index);
  if (found != known.end()) return found->second;
  return known.emplace(index, streams.getStreamFromGlobalPool({device.type(), index}))
      .first->second;
}

}  // namespace

at::ScalarType scalar_type(Precision precision) {
  switch (precision) {
    case Precision::kFloat32:
      return at::kFloat;
    case Precision::kBFloat16:
      return at::kBFloat16;
    case Precision::kFloat16:
      return at::kHalf;
    case Precision::kAuto:
      break;
  }
  throw std::invalid_argument("no such precision");
}

Precision settled(Precision precision, const at::Device& device) {
  if (precision != Precision::kAuto) return precision;
  return multiplies_bfloat16(device) ? Precision::kBFloat16 : Precision::kFloat32;
}

at::Device parse_device(const std::string& name) {
  if (name == "cpu") return at::kCPU;
  if (name == "auto") return torch::cuda::is_available() ? at::Device(at::kCUDA, 0) : at::kCPU;
  const std::string prefix = "cuda:";
  constexpr std::int64_t kLargestIndex = 999;
  const auto number =
      name.starts_with(prefix) ? whole_number(name.substr(prefix.size())) : std::nullopt;
  const bool numbered = number && *number >= 0 && *number <= kLargestIndex;
  if (name != "cuda" && !numbered) {
    throw ConfigError("device '" + name + "' is not one of auto, cpu, cuda, cuda:N");
  }
  const int index = numbered ? static_cast<int>(*number) : 0;
  const auto count =
      torch::cuda::is_available() ? static_cast<int>(torch::cuda::device_count()) : 0;
  if (index >= count) {
    throw DeviceError("device '" + name + "' is not there (" + std::to_string(count) +
                      " CUDA devices seen by this build); use --device cpu, or build with "
                      "scripts/setup.sh --cuda on a machine with an NVIDIA driver");
  }
  return at::Device(at::kCUDA, static_cast<at::DeviceIndex>(index));
}

bool is_out_of_memory(const c10::Error& error) {
  if (dynamic_cast<const c10::OutOfMemoryError*>(&error) != nullptr) return true;
  constexpr std::string_view kWords[] = {
      "out of memory",
      "CUBLAS_STATUS_ALLOC_FAILED",
      "CUBLAS_STATUS_NOT_INITIALIZED",
      "CUDNN_STATUS_ALLOC_FAILED",
      "CUDNN_STATUS_NOT_INITIALIZED",
      "CUDNN_STATUS_INTERNAL_ERROR_DEVICE_ALLOCATION_FAILED",
      "CUSOLVER_STATUS_ALLOC_FAILED",
  };
  const std::string_view text = error.what_without_backtrace();
  return std::ranges::any_of(
      kWords, [&](std::string_view word) { return text.find(word) != std::string_view::npos; });
}

std::string describe_device(const at::Device& device) {
  if (!device.is_cpu()) return device.str() + " (" + cuda_name(index_of(device)) + ")";
  return "cpu (" + processor_name() + ", " + std::to_string(at::get_num_threads()) + " threads)";
}

at::Tensor upload(const at::Tensor& tensor, at::Device device) {
  if (device.is_cpu() || !tensor.is_cpu()) return tensor.to(device);
  const c10::impl::VirtualGuardImpl streams(device.type());
  const c10::Stream current = streams.getStream(device);
  const c10::Stream side = copy_stream(device, streams);
  const at::Tensor pinned = tensor.pin_memory();
  at::Tensor moved;
  c10::Event copied(device.type());
  {
    const c10::StreamGuard guard(side);
    moved = pinned.to(device, /*non_blocking=*/true);
    copied.record(side);
  }
  copied.block(current);
  moved.record_stream(current);
  return moved;
}

Download::Download(const at::Tensor& tensor) {
  if (tensor.is_cpu()) {
    arrived_ = tensor;
    return;
  }
  arrived_ = at::empty(tensor.sizes(), tensor.options().device(at::kCPU).pinned_memory(true));
  arrived_.copy_(tensor, /*non_blocking=*/true);
  const c10::impl::VirtualGuardImpl streams(tensor.device().type());
  copied_.emplace(tensor.device().type());
  copied_->record(streams.getStream(tensor.device()));
}

const at::Tensor& Download::wait() {
  if (copied_) copied_->synchronize();
  copied_.reset();
  return arrived_;
}

void synchronize(at::Device device) {
  if (!device.is_cpu()) at::accelerator::synchronizeDevice(index_of(device));
}

std::size_t free_device_memory(at::Device device) {
  if (device.is_cpu()) return 0;
  return at::getDeviceAllocator(device.type())->getMemoryInfo(index_of(device)).first;
}

std::optional<double> peak_device_memory_mib(at::Device device) {
  if (device.is_cpu()) return std::nullopt;
  const auto stats = at::getDeviceAllocator(device.type())->getDeviceStats(index_of(device));
  constexpr double kMib = 1 << 20;
  return static_cast<double>(stats.allocated_bytes.front().peak) / kMib;  // of all pools
}

void reset_peak_device_memory(at::Device device) {
  if (!device.is_cpu()) at::getDeviceAllocator(device.type())->resetPeakStats(index_of(device));
}

void configure_numerics() {
  at::globalContext().setFloat32MatmulPrecision("highest");
  at::globalContext().setAllowTF32CuDNN(false);
}

}  // namespace nagl
