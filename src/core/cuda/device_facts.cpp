#include "../device_facts.h"

#include <cuda_runtime_api.h>

// Torch's header that declares it wants those of cuSPARSE and others, which nothing here needs.
namespace at::cuda {
cudaDeviceProp* getDeviceProperties(c10::DeviceIndex device);
}  // namespace at::cuda

namespace nagl {

std::string cuda_name(c10::DeviceIndex index) { return at::cuda::getDeviceProperties(index)->name; }

bool cuda_multiplies_bfloat16(c10::DeviceIndex index) {
  constexpr int kAmpere = 8;
  return at::cuda::getDeviceProperties(index)->major >= kAmpere;
}

}  // namespace nagl
