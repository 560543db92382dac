#include "../device_facts.h"

#include <ATen/cuda/CUDAContext.h>

namespace nagl {

std::string cuda_name(c10::DeviceIndex index) { return at::cuda::getDeviceProperties(index)->name; }

bool cuda_multiplies_bfloat16(c10::DeviceIndex index) {
  constexpr int kAmpere = 8;
  return at::cuda::getDeviceProperties(index)->major >= kAmpere;
}

}  // namespace nagl
