#pragma once

#include <ATen/core/Tensor.h>
#include <c10/core/Device.h>
#include <c10/core/Event.h>
#include <c10/core/ScalarType.h>
#include <c10/util/Exception.h>

#include <optional>
#include <string>

#include "nagl/core/enum_names.h"

namespace nagl {

/// Numeric type of the backbone's weights and activations. Features and scores are always float32.
/// `kAuto` is what `settled` makes of it.
enum class Precision { kFloat32, kBFloat16, kFloat16, kAuto };
constexpr auto names_of(Precision) {
  return EnumNames<Precision, 4>{"precision",
                                 {{{Precision::kFloat32, "float32"},
                                   {Precision::kBFloat16, "bfloat16"},
                                   {Precision::kFloat16, "float16"},
                                   {Precision::kAuto, "auto"}}}};
}
/// @throws std::invalid_argument of `kAuto`
c10::ScalarType scalar_type(Precision precision);

/// What `precision` comes down to on a device: of `kAuto` bfloat16 on GPUs that multiply it (NVIDIA
/// Ampere and later) and on CPUs with AMX, else float32.
Precision settled(Precision precision, const c10::Device& device);

/// `auto` (CUDA where there is a usable GPU, else the CPU), `cpu`, `cuda` or `cuda:N`.
/// Throws ConfigError on another name, DeviceError if the GPU asked for is not there.
c10::Device parse_device(const std::string& name);

/// Whether an error says that a device has too little memory: Torch's own, and those of the
/// libraries beside it (cuBLAS, cuDNN), which also say so when they cannot make their handles.
bool is_out_of_memory(const c10::Error& error);

/// The device in words: `cpu (AMD EPYC, 2 threads)`, `cuda:0 (NVIDIA H100)`.
std::string describe_device(const c10::Device& device);

/// Copies a tensor from the CPU to a device, there through pinned memory and on a stream of its
/// own, so that neither the CPU nor what the device computes waits. What is asked of the current
/// stream next finds the copy done. A tensor that is there already, or may stay, is returned as it
/// is.
at::Tensor upload(const at::Tensor& tensor, c10::Device device);

/// A tensor on its way from a device to the CPU, through pinned memory: what is asked of the device
/// after it does not wait for whoever looks at it. On the CPU it is there at once.
class Download {
 public:
  explicit Download(const at::Tensor& tensor);
  /// The tensor on the CPU, once it has arrived.
  const at::Tensor& wait();

 private:
  at::Tensor arrived_;
  std::optional<c10::Event> copied_;
};

/// Waits until a device has done all that was asked of it. On the CPU nothing is left to do.
void synchronize(c10::Device device);

/// Bytes of a device's memory that are free; of the CPU 0.
std::size_t free_device_memory(c10::Device device);

/// The largest amount of memory that tensors have held on a device since the last reset, in MiB;
/// of the CPU empty (see `peak_memory_mib`).
std::optional<double> peak_device_memory_mib(c10::Device device);
void reset_peak_device_memory(c10::Device device);

/// Puts Torch's numerics into the state nagl's results are stated for: float32 means float32 (no
/// TF32 on CUDA). Call once before computing; has no cost.
void configure_numerics();

}  // namespace nagl
