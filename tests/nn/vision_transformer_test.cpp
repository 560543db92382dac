#include "nagl/nn/vision_transformer.h"

#include <cstdio>
#include <map>
#include <nlohmann/json.hpp>
#include <tuple>

#include "nagl/model/backbone.h"
#include "tensors.h"

namespace nagl {
namespace {

using testing::max_difference;
using testing::relative_difference;

VisionTransformerOptions small() {
  VisionTransformerOptions options;
  options.width = 64;
  options.depth = 2;
  options.hidden = 128;
  options.grid = 4;
  options.head_width = 32;
  return options;
}

VisionTransformer random_network(const VisionTransformerOptions& options) {
  VisionTransformer network(options);
  const at::NoGradGuard no_grad;
  at::manual_seed(1);
  for (auto& parameter : network->parameters()) parameter.normal_(0, 0.1);
  return network;
}

// Folded LayerScale, oneDNN's linear layers and attention by blocks, from 2 to 1601 tokens.
TEST(VisionTransformer, FreezingDoesNotChangeFeatures) {
  const at::NoGradGuard no_grad;
  auto network = random_network(small());
  auto frozen = random_network(small()), half = random_network(small());
  frozen->prepare_for_inference(at::kCPU, at::kFloat);
  half->prepare_for_inference(at::kCPU, at::kBFloat16);
  for (const auto& [height, width] : {std::pair{1, 1}, {3, 5}, {7, 9}, {16, 16}, {40, 40}}) {
    const auto images = torch::randn({2, 3, 14 * height, 14 * width});
    const auto before = network->forward(images, 1);
    EXPECT_EQ(before.sizes(), at::IntArrayRef({2, height * width, 64}));
    EXPECT_LT(max_difference(frozen->forward(images, 1), before), 2e-5) << height;
    EXPECT_LT(relative_difference(half->forward(images.to(at::kBFloat16), 1), before), 2e-2)
        << height;
  }
}

TEST(VisionTransformer, PicturesOfABatchDoNotMix) {
  const at::NoGradGuard no_grad;
  auto network = random_network(small());
  const auto images = torch::randn({3, 3, 28, 28});
  const auto together = network->forward(images, 1);
  for (std::int64_t i = 0; i < 3; ++i) {
    EXPECT_LT(max_difference(network->forward(images.slice(0, i, i + 1), 1)[0], together[i]), 1e-5);
  }
}

TEST(VisionTransformer, OnePassGivesSeveralLayersBitForBit) {
  const at::NoGradGuard no_grad;
  auto options = small();
  options.depth = 4;
  auto plain = random_network(options), frozen = random_network(options);
  frozen->prepare_for_inference(at::kCPU, at::kFloat);
  auto half = random_network(options);
  half->prepare_for_inference(at::kCPU, at::kBFloat16);
  const auto images = torch::randn({2, 3, 42, 28});
  for (auto network : {plain, frozen, half}) {
    const auto input = images.to(network->parameters().front().scalar_type());
    const std::vector<std::int64_t> layers = {2, 0, 3, 2};
    const auto features = network->forward_layers(input, layers);
    ASSERT_EQ(features.size(), layers.size());
    for (std::size_t k = 0; k < layers.size(); ++k) {
      EXPECT_TRUE(features[k].patches.equal(network->forward(input, layers[k]))) << k;
      EXPECT_EQ(features[k].class_token.sizes(), at::IntArrayRef({2, 64}));
      EXPECT_EQ(features[k].class_token.scalar_type(), at::kFloat);
    }
    EXPECT_TRUE(features[0].class_token.equal(features[3].class_token));
    EXPECT_FALSE(features[0].class_token.equal(features[1].class_token));
  }
  EXPECT_TRUE(plain->forward_layers(images, {}).empty());
}

// bfloat16 and frozen layers of the other kinds; float32 is held against timm below.
TEST(VisionTransformer, OtherKindsAreFrozenToo) {
  const at::NoGradGuard no_grad;
  auto registers = small(), rotary = small();
  registers.registers = 3;
  rotary.registers = 2;
  rotary.rotary = rotary.gated = true;
  for (const auto& options : {registers, rotary}) {
    auto network = random_network(options), frozen = random_network(options);
    auto half = random_network(options);
    if (options.rotary) {
      for (auto& other : {network, frozen, half}) {
        other->named_parameters()["rope_embed.periods"].copy_(torch::linspace(1, 9, 8));
      }
    }
    frozen->prepare_for_inference(at::kCPU, at::kFloat);
    half->prepare_for_inference(at::kCPU, at::kBFloat16);
    const auto images = torch::randn({2, 3, 14 * 5, 14 * 3});
    const auto before = network->forward(images, 1);
    EXPECT_EQ(before.sizes(), at::IntArrayRef({2, 15, 64}));
    EXPECT_LT(max_difference(frozen->forward(images, 1), before), 2e-5);
    EXPECT_LT(relative_difference(half->forward(images.to(at::kBFloat16), 1), before), 3e-2);
    EXPECT_TRUE(
        frozen->forward_layers(images, {0, 1})[1].patches.equal(frozen->forward(images, 1)));
  }
}

TEST(VisionTransformer, RotationsTurnByThePlaceOfAPatch) {
  const at::NoGradGuard no_grad;
  auto options = small();
  options.rotary = true;
  auto network = random_network(options);
  network->named_parameters()["rope_embed.periods"].copy_(
      torch::tensor({1.0F, 2.0F, 4.0F, 8.0F, 16.0F, 32.0F, 64.0F, 128.0F}));
  const auto turns = network->rotations(1, 4);
  EXPECT_EQ(turns.sizes(), at::IntArrayRef({2, 4, 1, 1, 32}));
  // One row: its middle, 0. Columns at -3/4, -1/4, 1/4, 3/4; channels 0..7 are of rows, 8..15 of
  // columns, and then the same again.
  EXPECT_NEAR(turns[0][2][0][0][3].item<float>(), 1, 1e-6);
  EXPECT_NEAR(turns[1][2][0][0][3].item<float>(), 0, 1e-6);
  EXPECT_NEAR(turns[0][3][0][0][9].item<float>(), std::cos(2 * M_PI * 0.75 / 2), 1e-6);
  EXPECT_NEAR(turns[1][0][0][0][8 + 16].item<float>(), std::sin(-2 * M_PI * 0.75), 1e-6);
}

// A network without blocks' influence: LayerScales of 0 leave the embedded tokens as they are.
TEST(VisionTransformer, TheClassTokenIsTheFirst) {
  const at::NoGradGuard no_grad;
  auto network = random_network(small());
  for (auto& item : network->named_parameters()) {
    if (item.key().ends_with("gamma")) item.value().zero_();
  }
  const auto parameters = network->named_parameters();
  const auto images = torch::randn({2, 3, 28, 42});
  const auto expected = at::layer_norm(network->embed(images), {64}, parameters["norm.weight"],
                                       parameters["norm.bias"], 1e-6);
  const auto features = network->forward_layers(images, {1}).front();
  EXPECT_LT(max_difference(features.class_token, expected.select(1, 0)), 1e-6);
  EXPECT_LT(max_difference(features.patches, expected.slice(1, 1)), 1e-6);
}

TEST(VisionTransformer, StoredPositionsAreUsedAsTheyAre) {
  auto network = random_network(small());
  EXPECT_TRUE(network->position_embedding(4, 4).equal(network->named_parameters()["pos_embed"]));
  EXPECT_EQ(network->position_embedding(3, 5).sizes(), at::IntArrayRef({1, 16, 64}));
}

TEST(VisionTransformer, RefusesWhatDoesNotFit) {
  auto network = random_network(small());
  EXPECT_THROW(network->forward(torch::zeros({1, 3, 28, 27}), 0), std::invalid_argument);
  EXPECT_THROW(network->forward(torch::zeros({1, 3, 28, 28}), 2), std::invalid_argument);
  EXPECT_THROW(network->forward(torch::zeros({1, 3, 28, 28}), -1), std::invalid_argument);
  EXPECT_THROW(network->forward_layers(torch::zeros({1, 3, 28, 28}), {0, 2}),
               std::invalid_argument);
  EXPECT_THROW(network->forward_layers(torch::zeros({1, 3, 28, 28}), {-1, 0}),
               std::invalid_argument);
  EXPECT_THROW(network->forward_layers(torch::zeros({1, 3, 27, 28}), {0}), std::invalid_argument);
}

at::Tensor golden_input(const WeightsFile& golden, const std::string& picture) {
  auto pixels = golden.read(picture + ".rgb448").permute({2, 0, 1}).to(at::kFloat).div(255);
  const auto mean = torch::tensor({0.485F, 0.456F, 0.406F}).reshape({3, 1, 1});
  const auto deviation = torch::tensor({0.229F, 0.224F, 0.225F}).reshape({3, 1, 1});
  return ((pixels - mean) / deviation).unsqueeze(0);
}

VisionTransformer load_network(const std::filesystem::path& weights) {
  VisionTransformer network{VisionTransformerOptions()};
  WeightsFile(weights).load_into(*network);
  return network;
}

/// The reference features there are: (picture, layer, tensor).
std::vector<std::tuple<std::string, std::int64_t, std::string>> golden_features(
    const WeightsFile& golden) {
  std::vector<std::tuple<std::string, std::int64_t, std::string>> found;
  for (const std::string picture : {"hazelnut_colour_05", "magnetic_tile_crack_005"}) {
    for (const auto& [layer, suffix] :
         {std::pair(11, ".features"), std::pair(7, ".features_layer7")}) {
      if (golden.entries().contains(picture + suffix)) {
        found.emplace_back(picture, layer, picture + suffix);
      }
    }
  }
  return found;
}

void expect_golden(const at::Tensor& features, const at::Tensor& expected) {
  EXPECT_LT(max_difference(features, expected), 1e-3);
  EXPECT_LT(relative_difference(features, expected), 1e-4);
  std::printf("largest difference %.2e, relative %.2e\n", max_difference(features, expected),
              relative_difference(features, expected));
}

TEST(VisionTransformer, goldenFeaturesOfBothLayers) {
  NAGL_NEEDS_TEST_DATA(data);
  NAGL_NEEDS_BACKBONE(weights);
  NAGL_NEEDS_STAND_IN(weights);
  const at::NoGradGuard no_grad;
  const WeightsFile golden(data / "golden/backbone.safetensors");
  auto network = load_network(weights);
  EXPECT_LT(max_difference(network->position_embedding(32, 32)[0], golden.read("pos_embed_448")),
            1e-5);
  const std::string picture = "hazelnut_colour_05";
  const auto input = golden_input(golden, picture);
  const auto rows = at::arange(0, 448, 64);
  EXPECT_LT(max_difference(input[0].index_select(1, rows), golden.read(picture + ".input_rows")),
            1e-5);
  EXPECT_LT(max_difference(network->embed(input)[0], golden.read(picture + ".tokens0")), 1e-4);
  const auto compared = golden_features(golden);
  EXPECT_EQ(compared.size(), 3U);
  for (const auto& [name, layer, tensor] : compared) {
    SCOPED_TRACE(tensor);
    expect_golden(network->forward(golden_input(golden, name), layer)[0], golden.read(tensor));
  }
}

TEST(Backbone, goldenFeaturesWithFoldedLayerScale) {
  NAGL_NEEDS_TEST_DATA(data);
  NAGL_NEEDS_BACKBONE(weights);
  NAGL_NEEDS_STAND_IN(weights);
  const WeightsFile golden(data / "golden/backbone.safetensors");
  for (const auto& [picture, layer, tensor] : golden_features(golden)) {
    SCOPED_TRACE(tensor);
    BackboneOptions options;
    options.layer = layer;
    expect_golden(Backbone(weights, options).encode(golden_input(golden, picture))[0],
                  golden.read(tensor));
  }
}

TEST(Backbone, goldenFeaturesOfSeveralLayersInOnePass) {
  NAGL_NEEDS_TEST_DATA(data);
  NAGL_NEEDS_BACKBONE(weights);
  NAGL_NEEDS_STAND_IN(weights);
  const WeightsFile golden(data / "golden/backbone.safetensors");
  const WeightsFile file(weights);
  const std::string picture = "hazelnut_colour_05";
  const auto features =
      Backbone(weights, {}).encode_layers(golden_input(golden, picture), {11, 0, 7});
  expect_golden(features[0].patches[0], golden.read(picture + ".features"));
  expect_golden(features[2].patches[0], golden.read(picture + ".features_layer7"));
  const auto first = at::layer_norm(golden.read(picture + ".after_block0"), {384},
                                    file.read("norm.weight"), file.read("norm.bias"), 1e-6);
  expect_golden(features[1].patches[0], first.slice(0, 1));
  expect_golden(features[1].class_token[0], first[0]);
}

std::uint32_t mixed(std::uint32_t n) {
  n ^= n >> 16;
  n *= 0x7feb352dU;
  n ^= n >> 15;
  n *= 0x846ca68bU;
  return n ^ n >> 16;
}

/// The input of scripts/timm_reference.py, as its JSON describes it.
at::Tensor timm_input(std::int64_t height, std::int64_t width) {
  auto input = torch::empty({3, height, width});
  auto values = input.accessor<float, 3>();
  for (std::int64_t c = 0; c < 3; ++c) {
    for (std::int64_t y = 0; y < height; ++y) {
      for (std::int64_t x = 0; x < width; ++x) {
        std::uint32_t n =
            static_cast<std::uint32_t>(c) * 1000003U + static_cast<std::uint32_t>(y / 4);
        n = mixed(n * 1000003U + static_cast<std::uint32_t>(x / 4));
        values[c][y][x] = static_cast<float>(static_cast<std::int32_t>(n >> 16) - 32768) / 16384.0F;
      }
    }
  }
  return input;
}

void expect_timm(VisionTransformer& network, const nlohmann::json& expected) {
  const auto height = expected["size"][0].get<std::int64_t>();
  const auto width = expected["size"][1].get<std::int64_t>();
  const auto layer = expected["layer"].get<std::int64_t>();
  SCOPED_TRACE(::testing::Message() << height << "x" << width << " layer " << layer);
  const auto features = network->forward(timm_input(height, width).unsqueeze(0), layer)[0];
  EXPECT_EQ(features.size(0), expected["shape"][0].get<std::int64_t>());
  const double norm = expected["norm"].get<double>();
  EXPECT_NEAR(features.to(at::kDouble).norm().item<double>(), norm, 1e-5 * norm);
  EXPECT_NEAR(features.to(at::kDouble).mean().item<double>(), expected["mean"].get<double>(), 1e-5);
  const double largest = expected["largest"].get<double>();
  double worst = 0;
  for (const auto& sample : expected["samples"]) {
    const double value = features[sample[0].get<int>()][sample[1].get<int>()].item<double>();
    worst = std::max(worst, std::abs(value - sample[2].get<double>()));
  }
  EXPECT_LT(worst, 1e-4 * largest);
}

TEST(VisionTransformer, EqualsTimm) {
  NAGL_NEEDS_BACKBONE(weights);
  NAGL_NEEDS_STAND_IN(weights);
  const at::NoGradGuard no_grad;
  const auto reference = nlohmann::json::parse(
      testing::slurp(std::filesystem::path(NAGL_SOURCE_DIR) / "tests/nn/timm_features.json"));
  auto network = load_network(weights);
  for (const auto& corner : reference["input_corner"]) {
    const auto input = timm_input(16, 16);
    EXPECT_EQ(input[corner[0].get<int>()][corner[1].get<int>()][corner[2].get<int>()].item<float>(),
              corner[3].get<float>());
  }
  ASSERT_EQ(reference["cases"].size(), 6U);
  for (const auto& expected : reference["cases"]) {
    expect_timm(network, expected);
  }
}

/// The weights of scripts/timm_reference.py --random, as its JSON describes them.
void fill_randomly(VisionTransformer& network) {
  for (auto& item : network->named_parameters()) {
    const std::string& name = item.key();
    std::uint32_t seed = 0x811c9dc5U;
    for (const char letter : name) {
      seed = (seed ^ static_cast<unsigned char>(letter)) * 0x01000193U;
    }
    const auto has = [&](const char* part) { return name.find(part) != std::string::npos; };
    const bool norm = name.ends_with("norm1.weight") || name.ends_with("norm2.weight") ||
                      name.ends_with("norm.weight");
    const float divisor = norm                                               ? 4
                          : has("gamma") || has("token") || has("pos_embed") ? 2
                          : name.ends_with(".bias")                          ? 4
                                                                             : 20;
    const auto count = item.value().numel();
    auto* values = item.value().mutable_data_ptr<float>();
    for (std::int64_t i = 0; i < count; ++i) {
      const std::uint32_t n = mixed(seed + static_cast<std::uint32_t>(i) * 0x9e3779b1U);
      const float u = static_cast<float>(static_cast<std::int32_t>(n >> 16) - 32768) / 32768.0F;
      values[i] = (norm ? 1.0F : 0.0F) + u / divisor;
    }
    if (network->options().rotary && name.ends_with("qkv.bias")) {
      item.value().slice(0, count / 3, 2 * count / 3).zero_();
    }
    if (name == "rope_embed.periods") {
      item.value().copy_(at::pow(100, torch::arange(count, at::kFloat) / count));
    }
  }
}

TEST(VisionTransformer, EqualsTimmOnRandomWeights) {
  const at::NoGradGuard no_grad;
  const auto reference = nlohmann::json::parse(testing::slurp(
      std::filesystem::path(NAGL_SOURCE_DIR) / "tests/nn/timm_random_features.json"));
  const std::map<std::string, VisionTransformerOptions> kinds = {
      {"dinov2_vitb14", {.width = 768, .hidden = 3072}},
      {"dinov2_vitl14", {.width = 1024, .hidden = 4096}},
      {"dinov2_vits14_reg4", {.registers = 4}},
      {"dinov3_vits16", {.patch = 16, .registers = 4, .rotary = true}},
      {"dinov3_vits16plus", {.patch = 16, .registers = 4, .rotary = true, .gated = true}},
      {"dinov3_vitb16",
       {.width = 768, .hidden = 3072, .patch = 16, .registers = 4, .rotary = true}}};
  for (const auto& [kind, shapes] : kinds) {
    std::vector<nlohmann::json> cases;
    std::int64_t last = 0;
    for (const auto& expected : reference["cases"]) {
      if (expected["architecture"] != kind) continue;
      cases.push_back(expected);
      last = std::max(last, expected["layer"].get<std::int64_t>());
    }
    ASSERT_GE(cases.size(), 2U) << kind;
    VisionTransformerOptions options = shapes;
    options.depth = last + 1;  // later blocks are not computed
    VisionTransformer network(options);
    fill_randomly(network);
    for (const bool frozen : {false, true}) {
      if (frozen) network->prepare_for_inference(at::kCPU, at::kFloat);
      for (const auto& expected : cases) {
        SCOPED_TRACE(::testing::Message() << kind << (frozen ? ", frozen" : ""));
        expect_timm(network, expected);
      }
    }
  }
}

}  // namespace
}  // namespace nagl
