#pragma once

#include <ATen/core/Tensor.h>
#include <c10/core/Device.h>
#include <c10/core/ScalarType.h>

#include <optional>
#include <string>

#include "nagl/core/enum_names.h"

namespace nagl {

/// Numeric type of the backbone's weights and activations. Features and scores are always float32.
enum class Precision { kFloat32, kBFloat16, kFloat16 };
constexpr auto names_of(Precision) {
  return EnumNames<Precision, 3>{"precision",
                                 {{{Precision::kFloat32, "float32"},
                                   {Precision::kBFloat16, "bfloat16"},
                                   {Precision::kFloat16, "float16"}}}};
}
c10::ScalarType scalar_type(Precision precision);

/// `auto` (CUDA where there is a usable GPU, else the CPU), `cpu`, `cuda` or `cuda:N`.
/// Throws ConfigError on another name, DeviceError if the GPU asked for is not there.
c10::Device parse_device(const std::string& name);

/// The device in words: `cpu (AMD EPYC, 2 threads)`, `cuda:0 (NVIDIA H100)`.
std::string describe_device(const c10::Device& device);

/// Copies a tensor from the CPU to a device, there through pinned memory and on a stream of its
/// own, so that neither the CPU nor what the device computes waits. What is asked of the current
/// stream next finds the copy done. A tensor that is there already, or may stay, is returned as it
/// is.
at::Tensor upload(const at::Tensor& tensor, c10::Device device);

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
