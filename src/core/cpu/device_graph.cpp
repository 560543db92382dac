#include "nagl/core/device_graph.h"

namespace nagl {

std::unique_ptr<DeviceGraph> record_graph(const at::Tensor&, const DeviceFunction&) {
  return nullptr;
}

bool on_default_stream(at::Device) { return true; }

}  // namespace nagl
