#pragma once

#include <c10/core/Device.h>

#include <string>

namespace nagl {

/// What a CUDA device is called: `NVIDIA H100 80GB HBM3`. Builds without CUDA have none to ask.
std::string cuda_name(c10::DeviceIndex index);

/// Whether it multiplies bfloat16 in units of its own: since Ampere.
bool cuda_multiplies_bfloat16(c10::DeviceIndex index);

}  // namespace nagl
