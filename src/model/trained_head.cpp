#include "nagl/model/trained_head.h"

#include <fmt/format.h>

#include <algorithm>
#include <memory>
#include <optional>

#include "nagl/core/error.h"
#include "nagl/core/text.h"

namespace nagl {
namespace {

constexpr const char* kKind = "nagl head";
constexpr double kSquares = 8;  ///< a head has more matrices of width x width than these
constexpr const char* kProxies = "learnable_proxies.weight";

[[noreturn]] void fail(const std::filesystem::path& path, const std::string& why) {
  throw ModelError(fmt::format("model '{}': {}", path.string(), why));
}

std::int64_t number_of(const WeightsFile& file, const std::string& key) {
  const auto value = whole_number(file.text(key));
  if (!value || *value < 0) {
    fail(file.path(), fmt::format("its metadata has no valid '{}'; is it a file that nagl train or "
                                  "scripts/convert_checkpoint.py wrote?",
                                  key));
  }
  return *value;
}

std::string describe(const HeadOrigin& origin) {
  const std::string checksum = origin.backbone_checksum.empty()
                                   ? "checksum not known"
                                   : "checksum " + origin.backbone_checksum.substr(0, 12);
  return fmt::format("{} ({}), layer {}, width {}, patch {}", origin.backbone, checksum,
                     origin.layer, origin.width, origin.patch);
}

}  // namespace

void HeadOrigin::check_equals(const HeadOrigin& other, const std::filesystem::path& file) const {
  const bool known = !backbone_checksum.empty() && !other.backbone_checksum.empty();
  const bool same = layer == other.layer && width == other.width && patch == other.patch &&
                    (!known || backbone_checksum == other.backbone_checksum);
  if (same) return;
  fail(file, fmt::format("it belongs to {}, but the features are those of {}; give --backbone and "
                         "--layer to match",
                         describe(*this), describe(other)));
}

TrainedHead TrainedHead::on(at::Device device) const {
  const c10::InferenceMode guard(false);  // the head is a module
  const auto is_there = [device](const at::Tensor& tensor) {
    return tensor.device().type() == device.type() &&
           (!device.has_index() || tensor.device().index() == device.index());
  };
  const auto parameters = head->parameters();
  if (std::all_of(parameters.begin(), parameters.end(), is_there)) return *this;
  TrainedHead moved = *this;
  moved.head = NaglHead(std::dynamic_pointer_cast<NaglHeadImpl>(head->clone(device)));
  return moved;
}

HeadOrigin origin_of(const Backbone& backbone) {
  HeadOrigin origin = origin_without_checksum(backbone);
  origin.backbone_checksum = backbone.checksum();
  return origin;
}

HeadOrigin origin_without_checksum(const Backbone& backbone) {
  return {backbone.name(), "", backbone.layer(), backbone.width(), backbone.patch()};
}

std::map<std::string, std::string> head_metadata(const NaglHeadOptions& options,
                                                 const HeadOrigin& origin) {
  return {{"kind", kKind},
          {"backbone", origin.backbone},
          {"backbone_checksum", origin.backbone_checksum},
          {"layer", std::to_string(origin.layer)},
          {"width", std::to_string(origin.width)},
          {"patch", std::to_string(origin.patch)},
          {"heads", std::to_string(options.heads)},
          {"residual_metric", to_string(options.residual_metric)}};
}

HeadOrigin read_origin(const WeightsFile& file) {
  HeadOrigin origin;
  origin.backbone = file.text("backbone");
  if (origin.backbone.empty()) origin.backbone = "a backbone that it does not name";
  origin.backbone_checksum = file.text("backbone_checksum");
  origin.layer = number_of(file, "layer");
  origin.width = number_of(file, "width");
  if (!file.text("patch").empty()) origin.patch = number_of(file, "patch");
  return origin;
}

TrainedHead read_head(const WeightsFile& file, const std::string& prefix, at::Device device) {
  const auto& path = file.path();
  TrainedHead trained;
  trained.path = path;
  trained.origin = read_origin(file);
  trained.metadata = file.metadata();
  NaglHeadOptions options;
  const auto& proxies = file.entry(prefix + kProxies).shape;
  if (proxies.size() != 2 || proxies[1] != trained.origin.width) {
    fail(path,
         fmt::format("tensor '{}' does not fit its width {}", kProxies, trained.origin.width));
  }
  // What the width promises must be in the file before a network of that size is made.
  double values = 0;
  for (const auto& [name, entry] : file.entries()) {
    if (name.starts_with(prefix))
      values += static_cast<double>(entry.size) / elementSize(entry.dtype);
  }
  const auto width = static_cast<double>(trained.origin.width);
  if (values < kSquares * width * width) {
    fail(path, fmt::format("tensors are missing: it holds {:.0f} values, too few for its width {}",
                           values, trained.origin.width));
  }
  options.width = trained.origin.width;
  options.proxies = proxies[0];
  options.heads = number_of(file, "heads");
  try {
    parse(file.text("residual_metric"), options.residual_metric);
    trained.head = NaglHead(options);
  } catch (const ConfigError& error) {
    fail(path, error.what());
  }
  file.load_into(*trained.head, prefix);
  trained.checksum = checksum_of(state_of(*trained.head));
  trained.head->to(device);
  trained.head->eval();
  for (auto& parameter : trained.head->parameters()) parameter.set_requires_grad(false);
  return trained;
}

TrainedHead load_head(const std::filesystem::path& path, at::Device device) {
  const WeightsFile file(path);
  if (const auto kind = file.text("kind"); kind != kKind) {
    fail(path, fmt::format("it is not a trained head (its kind is '{}'); give the "
                           "model.safetensors that nagl train wrote",
                           kind.empty() ? "unknown" : kind));
  }
  return read_head(file, "", device);
}

}  // namespace nagl
