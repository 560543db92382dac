#pragma once

#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "nagl/core/adaptive_batch.h"
#include "nagl/core/device.h"
#include "nagl/core/device_graph.h"
#include "nagl/core/torch.h"
#include "nagl/model/weights.h"
#include "nagl/nn/layer_features.h"

namespace nagl {

class VisionTransformerImpl;

/// How a backbone file is loaded.
struct BackboneOptions {
  std::optional<std::int64_t>
      layer;  ///< block whose features are taken; unset: the file's own word
  at::Device device = at::kCPU;
  Precision precision =
      Precision::kFloat32;  ///< of weights and activations, docs/design.md, section 4
  bool graphs = true;  ///< on CUDA, record the passes of shapes that come back, and replay them
  /// Is told the new largest batch when the device's memory was too small; may be empty.
  std::function<void(std::int64_t)> batch_shrunk = {};
};

struct RandomWeights {
  std::uint64_t seed = 0;
};

/// A frozen backbone of DINOv2 or DINOv3: pictures in, patch features out. Safe to use from several
/// threads.
class Backbone {
 public:
  /// Loads a safetensors file as scripts/fetch_backbone.py writes it, with torch.hub names; its
  /// kind and size come from the tensors in it. @throws ModelError naming the file; ConfigError if
  /// it has no such layer.
  Backbone(const std::filesystem::path& path, const BackboneOptions& options);
  /// A ViT-S/14 with random weights, which are a pure function of the seed: of the right size and
  /// speed, for measurements without a file.
  Backbone(RandomWeights weights, const BackboneOptions& options);
  ~Backbone();

  /// On CUDA a batch that does not fit into memory is halved, and following ones too.
  /// @param images [B, 3, H, W] float32, preprocessed, on any device
  /// @return patch features [B, H/patch * W/patch, C] float32 on the backbone's device
  at::Tensor encode(const at::Tensor& images) const;
  /// Features of several layers, and class tokens, from one pass; batches are halved as `encode`'s.
  /// These passes are not recorded as graphs.
  /// @param layers block indices in any order, whatever `layer()` is
  /// @return one a layer, in the order of `layers`; `patches` of `layer()` are what `encode` gives
  /// @throws ConfigError if the network has no such layer
  std::vector<LayerFeatures> encode_layers(const at::Tensor& images,
                                           const std::vector<std::int64_t>& layers) const;

  /// Number of parameters of all that is computed: blocks after the layer are not.
  std::int64_t used_parameters() const { return used_parameters_; }
  /// Floating-point operations of one picture's pass: two for each multiplication of its matrix
  /// products, nothing else.
  double operations(std::int64_t height, std::int64_t width) const;
  /// What became of the passes of `encode` on CUDA; zeros where none are recorded.
  GraphCounts graph_counts() const { return graphs_ ? graphs_->counts() : GraphCounts(); }
  std::int64_t layer() const { return layer_; }
  std::int64_t width() const;
  std::int64_t patch() const;
  const at::Device& device() const { return device_; }
  /// As asked for; of `kAuto` what it came down to.
  Precision precision() const { return precision_; }
  const std::filesystem::path& path() const { return path_; }
  /// The file's metadata: architecture, source, source_sha256, recommended_layer.
  const std::map<std::string, std::string>& provenance() const { return provenance_; }
  /// The file's `WeightsFile::checksum`: which weights these are, also where another file stands at
  /// its path by now. Empty for random ones. Reads the file, the first time.
  std::string checksum() const;
  /// Architecture and where it came from: `dinov2_vits14 from ...`.
  std::string name() const;
  /// One line for a person: `dinov2_vits14, layer 7, from ...`.
  std::string describe() const;

  /// Throws ConfigError unless both sides are positive multiples of the patch size.
  void check_image_size(std::int64_t height, std::int64_t width) const;

 private:
  void prepare(const BackboneOptions& options);
  /// On the device, in the type of the weights.
  at::Tensor as_input(const at::Tensor& images) const;
  at::Tensor encode_at_once(const at::Tensor& images) const;

  std::optional<WeightsFile> file_;  ///< that the weights came from
  std::filesystem::path path_;
  std::map<std::string, std::string> provenance_;
  std::int64_t layer_;
  std::int64_t used_parameters_ = 0;
  at::Device device_;
  Precision precision_;
  std::shared_ptr<VisionTransformerImpl> network_;
  mutable AdaptiveBatch batches_;
  std::unique_ptr<GraphCache> graphs_;  ///< of `encode`'s passes; null: none are recorded
  mutable std::once_flag checksum_once_;
  mutable std::string checksum_;
};

/// Where the backbone file is (docs/design.md, section 4): `given` if not empty, else
/// `$NAGL_BACKBONE`, else
/// `<executable>/../../weights/dinov2_vits14.safetensors`, else `<executable>/../share/nagl/`.
/// @throws ModelError saying how to get one if it is in none of these places.
std::filesystem::path find_backbone(const std::filesystem::path& given);

}  // namespace nagl
