#include "nagl/model/backbone.h"

#include "nagl/core/error.h"
#include "nagl/nn/vision_transformer.h"
#include "tensors.h"

namespace nagl {
namespace {

using testing::max_difference;
using testing::message_of;
using testing::TemporaryFolder;

/// The tensors of a small backbone with the names and proportions of ViT-S/B/L.
std::map<std::string, at::Tensor> tensors_of(std::int64_t width, std::int64_t depth) {
  VisionTransformerOptions options;
  options.width = width;
  options.depth = depth;
  options.hidden = 4 * width;
  options.grid = 3;
  VisionTransformer network(options);
  at::manual_seed(5);
  const at::NoGradGuard no_grad;
  std::map<std::string, at::Tensor> tensors;
  for (auto& parameter : network->named_parameters()) {
    tensors[parameter.key()] = parameter.value().normal_(0, 0.1).clone();
  }
  return tensors;
}

const std::map<std::string, std::string> kLast = {{"recommended_layer", "1"}};

TEST(Backbone, KnownWeightsAreRecognisedWithoutTheirMetadata) {
  NAGL_NEEDS_BACKBONE(file);
  const WeightsFile original(file);
  if (!original.checksum().starts_with("c4ee9a18")) GTEST_SKIP() << "other weights";
  std::map<std::string, at::Tensor> tensors;
  for (const auto& [name, entry] : original.entries()) tensors[name] = original.read(name);
  const TemporaryFolder folder;
  write_weights(folder / "saved.safetensors", tensors, {{"format", "pt"}});
  const Backbone backbone(folder / "saved.safetensors", {});
  EXPECT_EQ(backbone.layer(), 7);
  EXPECT_EQ(backbone.describe(), Backbone(file, {}).describe());
}

TEST(Backbone, TakesItsShapeAndLayerFromTheFile) {
  const TemporaryFolder folder;
  const auto path = folder / "b.safetensors";
  for (const auto& [width, depth] : {std::pair(64, 2), std::pair(128, 5)}) {
    write_weights(path, tensors_of(width, depth), {{"recommended_layer", "1"}});
    const Backbone backbone(path, {});
    EXPECT_EQ(backbone.width(), width);
    EXPECT_EQ(backbone.layer(), 1);
    EXPECT_EQ(backbone.patch(), 14);
    EXPECT_EQ(backbone.encode(torch::zeros({2, 3, 28, 56})).sizes(),
              at::IntArrayRef({2, 8, width}));
  }
  write_weights(path, tensors_of(64, 3), {});
  // No word in the file, and no weights that are known: nobody knows which.
  const auto unknown = message_of<ConfigError>([&] { Backbone(path, {}); });
  EXPECT_NE(unknown.find("--layer, 0 to 2"), std::string::npos) << unknown;
  EXPECT_NE(unknown.find(path.string()), std::string::npos) << unknown;
  BackboneOptions options;
  options.layer = 0;
  EXPECT_EQ(Backbone(path, options).layer(), 0);
  options.layer = 3;
  EXPECT_THROW(Backbone(path, options), ConfigError);
}

TEST(Backbone, TakesItsKindFromTheTensorsThatAreThere) {
  const TemporaryFolder folder;
  const auto path = folder / "b.safetensors";
  VisionTransformerOptions options;
  options.width = 64;
  options.depth = 2;
  options.hidden = 96;
  options.patch = 16;
  options.registers = 4;
  options.rotary = options.gated = true;
  VisionTransformer network(options);
  const at::NoGradGuard no_grad;
  at::manual_seed(5);
  for (auto& parameter : network->parameters()) parameter.normal_(0, 0.1);
  network->named_parameters()["rope_embed.periods"].copy_(torch::linspace(1, 4, 16));
  auto tensors = state_of(*network);
  write_weights(path, tensors, kLast);
  const Backbone backbone(path, {});
  EXPECT_EQ(backbone.patch(), 16);
  const auto images = torch::randn({1, 3, 32, 48});
  EXPECT_LT(max_difference(backbone.encode(images), network->forward(images, 1)), 2e-5);
  const auto message = message_of<ConfigError>([&] { backbone.check_image_size(448, 504); });
  EXPECT_NE(message.find("the nearest is 448x512"), std::string::npos) << message;
  EXPECT_NO_THROW(backbone.check_image_size(448, 336));
  // Per token: 4 C^2 of attention and 3 C hidden of the gated MLP; 6 patches and 5 others.
  const double embedding = 6.0 * 3 * 16 * 16 * 64, linear = 11.0 * 64 * (4 * 64 + 3 * 96);
  EXPECT_EQ(backbone.operations(32, 48), 2 * (embedding + 2 * (linear + 2.0 * 11 * 11 * 64)));

  tensors.erase("rope_embed.periods");
  write_weights(path, tensors, kLast);
  EXPECT_NE(message_of<ModelError>([&] { Backbone(path, {}); }).find("no positions"),
            std::string::npos);
}

TEST(Backbone, EncodesSeveralLayersInOnePass) {
  const TemporaryFolder folder;
  const auto path = folder / "b.safetensors";
  write_weights(path, tensors_of(64, 4), {{"recommended_layer", "3"}});
  const auto images = torch::randn({3, 3, 28, 42});
  BackboneOptions options;
  options.layer = 1;  // later ones are there all the same
  for (const auto precision : {Precision::kFloat32, Precision::kBFloat16}) {
    options.precision = precision;
    const Backbone backbone(path, options);
    const std::vector<std::int64_t> layers = {3, 1, 0};
    const auto features = backbone.encode_layers(images, layers);
    ASSERT_EQ(features.size(), 3U);
    for (std::size_t k = 0; k < layers.size(); ++k) {
      BackboneOptions single = options;
      single.layer = layers[k];
      EXPECT_TRUE(features[k].patches.equal(Backbone(path, single).encode(images))) << k;
      EXPECT_EQ(features[k].class_token.sizes(), at::IntArrayRef({3, 64}));
      EXPECT_EQ(features[k].class_token.scalar_type(), at::kFloat);
    }
    EXPECT_TRUE(backbone.encode_layers(images, {}).empty());
    EXPECT_NE(message_of<ConfigError>([&] {
                backbone.encode_layers(images, {0, 4});
              }).find("layer 4 is not in 0..3"),
              std::string::npos);
    EXPECT_THROW(backbone.encode_layers(images, {-1}), ConfigError);
  }
}

TEST(Backbone, LowerPrecisionStaysCloseAndGivesFloat32) {
  const TemporaryFolder folder;
  auto tensors = tensors_of(64, 2);
  write_weights(folder / "b.safetensors", tensors, kLast);
  const auto images = torch::randn({1, 3, 42, 42});
  const auto exact = Backbone(folder / "b.safetensors", {}).encode(images);
  BackboneOptions options;
  options.precision = Precision::kBFloat16;
  const auto rough = Backbone(folder / "b.safetensors", options).encode(images);
  EXPECT_EQ(rough.scalar_type(), at::kFloat);
  EXPECT_LT(testing::relative_difference(rough, exact), 0.03);
  EXPECT_GT(max_difference(rough, exact), 0);
  for (auto& [name, tensor] : tensors) tensor = tensor.to(at::kHalf);
  write_weights(folder / "half.safetensors", tensors, kLast);
  EXPECT_LT(
      testing::relative_difference(Backbone(folder / "half.safetensors", {}).encode(images), exact),
      0.003);
}

TEST(Backbone, RefusesFilesThatAreNone) {
  const TemporaryFolder folder;
  const auto path = folder / "broken.safetensors";
  const auto refused = [&](auto&& change, const std::string& because,
                           std::map<std::string, std::string> metadata = kLast) {
    auto tensors = tensors_of(64, 2);
    change(tensors);
    write_weights(path, tensors, metadata);
    const auto message = message_of<ModelError>([&] { Backbone(path, {}); });
    EXPECT_NE(message.find("broken.safetensors"), std::string::npos) << message;
    EXPECT_NE(message.find(because), std::string::npos) << message;
  };
  using Tensors = std::map<std::string, at::Tensor>;
  refused([](Tensors& t) { t.clear(); }, "'patch_embed.proj.weight' is missing");
  refused([](Tensors& t) { t.erase("blocks.1.ls2.gamma"); }, "'blocks.1.ls2.gamma' is missing");
  refused([](Tensors& t) { t.erase("blocks.1.attn.qkv.weight"); }, "'blocks.1.attn.qkv.weight'");
  refused([](Tensors& t) { t["mask_token"] = torch::zeros({1, 64}); }, "'mask_token' is surplus");
  refused([](Tensors& t) { t["pos_embed"] = torch::zeros({1, 12, 64}); }, "'pos_embed'");
  refused([](Tensors& t) { t["pos_embed"] = torch::zeros({1, 10, 32}); }, "'pos_embed'");
  refused([](Tensors& t) { t["norm.weight"] = torch::zeros({64}, at::kLong); }, "'norm.weight'");
  refused(
      [](Tensors& t) {
        t["patch_embed.proj.weight"] = torch::zeros({65, 3, 14, 14});
      },
      "'patch_embed.proj.weight'");
  refused(
      [](Tensors& t) {
        t["patch_embed.proj.weight"] = torch::zeros({64, 3, 14, 0});
      },
      "'patch_embed.proj.weight'");
  refused([](Tensors&) {}, "recommended_layer", {{"recommended_layer", "seven"}});
  refused([](Tensors&) {}, "recommended_layer", {{"recommended_layer", "2"}});
}

TEST(Backbone, ItsChecksumIsOfTheWeightsItLoaded) {
  const TemporaryFolder folder;
  const auto path = folder / "b.safetensors";
  auto tensors = tensors_of(64, 2);
  write_weights(path, tensors, kLast);
  const auto sum = WeightsFile(path).checksum();
  const Backbone backbone(path, {});
  tensors["norm.bias"] += 1;
  write_weights(path, tensors, kLast);
  EXPECT_EQ(backbone.checksum(), sum);
  EXPECT_NE(Backbone(path, {}).checksum(), sum);
  EXPECT_EQ(Backbone(RandomWeights(), {}).checksum(), "");
}

TEST(Backbone, SaysWhichImageSizesFit) {
  const TemporaryFolder folder;
  write_weights(folder / "b.safetensors", tensors_of(64, 1), {{"recommended_layer", "0"}});
  const Backbone backbone(folder / "b.safetensors", {});
  backbone.check_image_size(14, 700);
  EXPECT_NE(message_of<ConfigError>([&] { backbone.check_image_size(450, 448); }).find("448x448"),
            std::string::npos);
  EXPECT_THROW(backbone.check_image_size(0, 14), ConfigError);
}

}  // namespace
}  // namespace nagl
