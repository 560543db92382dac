#include <spdlog/spdlog.h>

#include <string_view>

#include "nagl/core/device_graph.h"

namespace nagl {

namespace {

/// Devices' messages go on with advice for programmers.
std::string_view first_sentence(std::string_view message) {
  return message.substr(0, message.find_first_of(".\n"));
}

}  // namespace

at::Tensor GraphCache::run(const at::Tensor& input, const DeviceFunction& function) {
  if (!on_default_stream(input.device())) return function(input);
  const std::lock_guard lock(mutex_);
  if (DeviceGraph* graph = graph_for(input, function)) {
    ++counts_.replayed;
    return graph->replay(input);
  }
  at::Tensor output = function(input);
  passed_.insert(input.sizes().vec());
  return output;
}

DeviceGraph* GraphCache::graph_for(const at::Tensor& input, const DeviceFunction& function) {
  constexpr std::size_t kMost = 4;
  const Shape shape = input.sizes().vec();
  const auto found = graphs_.find(shape);
  if (found != graphs_.end()) return found->second.get();
  if (!passed_.contains(shape) || graphs_.size() == kMost) return nullptr;
  // One that cannot be recorded keeps its place, so that it is not tried again.
  std::unique_ptr<DeviceGraph>& graph = graphs_[shape];
  try {
    graph = recorder_(input, function);
    if (graph) ++counts_.recorded;
  } catch (const GraphError& error) {
    ++counts_.failed;
    static std::once_flag said;
    std::call_once(said, [&] {
      spdlog::warn(
          "passes are not recorded as graphs, and are slower in small batches: the device says "
          "'{}'",
          first_sentence(error.what()));
    });
  }
  return graph.get();
}

GraphCounts GraphCache::counts() const {
  const std::lock_guard lock(mutex_);
  return counts_;
}

}  // namespace nagl
