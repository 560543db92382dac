#include "../device_facts.h"

#include <stdexcept>

namespace nagl {

std::string cuda_name(c10::DeviceIndex) {
  throw std::logic_error("a CUDA device in a build without CUDA");
}

bool cuda_multiplies_bfloat16(c10::DeviceIndex) { return false; }

}  // namespace nagl
