// What devices and precisions give, against the CPU in float32. CUDA's tests are skipped where
// there is no such device.

#include <torch/cuda.h>

#include <memory>
#include <vector>

#include "nagl/metrics/ranking_metrics.h"
#include "nagl/model/backbone.h"
#include "nagl/model/reference_bank.h"
#include "nagl/model/trained_head.h"
#include "nagl/nn/image_score.h"
#include "tensors.h"

namespace nagl {
namespace {

using testing::environment;
using testing::max_difference;

constexpr PatchGrid kGrid{32, 32};

/// Pictures [P, 3, 448, 448] float32 as the backbone takes them; the first five are references, of
/// which the fifth shows a defect in `mask`.
struct Pictures {
  at::Tensor pixels, mask;
  std::vector<std::uint8_t> labels;  ///< of the rest; empty: not known
};

/// Those of the file that `$NAGL_DEVICE_PICTURES` names (see scripts/gpu_bundle.py), else made up.
Pictures pictures() {
  Pictures made;
  const std::string file = environment("NAGL_DEVICE_PICTURES");
  if (!file.empty()) {
    const WeightsFile from(file);
    const auto mean = torch::tensor({0.485F, 0.456F, 0.406F}).reshape({1, 3, 1, 1});
    const auto deviation = torch::tensor({0.229F, 0.224F, 0.225F}).reshape({1, 3, 1, 1});
    made.pixels = (from.read("pixels").to(at::kFloat) / 255 - mean) / deviation;
    made.mask = from.read("patch_mask").to(at::kBool).reshape({1, kGrid.size()});
    const auto labels = from.read("labels");
    made.labels.assign(labels.const_data_ptr<std::uint8_t>(),
                       labels.const_data_ptr<std::uint8_t>() + labels.numel());
    return made;
  }
  const auto random = at::make_generator<at::CPUGeneratorImpl>(1);
  made.pixels = torch::randn({21, 3, 448, 448}, random);
  for (std::int64_t i = 5; i < 21; ++i) made.pixels[i] *= 0.2 + 0.05 * static_cast<double>(i);
  made.mask = at::zeros({1, kGrid.size()}, at::kBool);
  made.mask.slice(1, 500, 540).fill_(true);
  return made;
}

std::unique_ptr<Backbone> backbone(const BackboneOptions& options) {
  const auto file = testing::backbone_file();
  if (!file) return std::make_unique<Backbone>(RandomWeights(), options);
  return std::make_unique<Backbone>(*file, options);
}

struct Scores {
  at::Tensor patches;  ///< [P - 5, N]
  at::Tensor images;   ///< [P - 5]
  GraphCounts encoding, scoring;
};

Scores scores_on(at::Device device, Precision precision, const Pictures& pictures, bool graphs) {
  const c10::InferenceMode guard;
  BackboneOptions options;
  options.device = device;
  options.precision = precision;
  options.graphs = graphs;
  const auto network = backbone(options);
  std::vector<at::Tensor> features;
  for (const auto& batch : pictures.pixels.split(4)) {
    for (std::int64_t i = 0; i < batch.size(0); ++i) {
      features.push_back(network->encode(batch.slice(0, i, i + 1)));
    }
  }
  const at::Tensor all = at::cat(features);
  NaglHead head((NaglHeadOptions()));
  head->initialize(3);
  head->to(device);
  ReferenceBank bank(all.slice(0, 0, 4), all.slice(0, 4, 5), pictures.mask.to(device), head, kGrid,
                     precision);
  if (graphs) bank.record_scoring();
  Scores scores;
  std::vector<at::Tensor> patches;
  for (const auto& query : all.slice(0, 5).split(1)) {
    patches.push_back(bank.score(query, Method::kNagl));
  }
  scores.patches = at::cat(patches).to(at::kCPU);
  scores.encoding = network->graph_counts();
  scores.scoring = bank.graph_counts();
  scores.images = image_scores(scores.patches.to(at::kDouble));
  return scores;
}

/// Spearman's correlation of the order of two sets of numbers.
double rank_correlation(const at::Tensor& a, const at::Tensor& b) {
  const auto ranks = [](const at::Tensor& values) {
    const auto rank = values.argsort().argsort().to(at::kDouble);
    return rank - rank.mean();
  };
  const auto x = ranks(a), y = ranks(b);
  return ((x * y).sum() / (x.norm() * y.norm())).item<double>();
}

double image_auroc(const Scores& scores, const std::vector<std::uint8_t>& labels) {
  const auto values = scores.images.to(at::kDouble).contiguous();
  const std::vector<double> list(values.const_data_ptr<double>(),
                                 values.const_data_ptr<double>() + values.numel());
  return auroc(list, labels).value();
}

/// Expects patch scores within `tolerance`; of real pictures also the same order and AUROC.
void expect_same(const Scores& found, const Scores& expected, const Pictures& seen,
                 double tolerance, const std::string& how) {
  const double difference = max_difference(found.patches, expected.patches);
  const double correlation = rank_correlation(found.images, expected.images);
  ::testing::Test::RecordProperty("difference " + how, std::to_string(difference));
  ::testing::Test::RecordProperty("correlation " + how, std::to_string(correlation));
  EXPECT_LT(difference, tolerance) << how;
  if (seen.labels.empty()) return;
  EXPECT_GE(correlation, 0.999) << how;
  EXPECT_NEAR(image_auroc(found, seen.labels), image_auroc(expected, seen.labels), 0.005) << how;
}

TEST(Device, Bfloat16OnTheCpu) {
  NAGL_NEEDS_BACKBONE(file);  // random weights feel any rounding
  const Pictures seen = pictures();
  expect_same(scores_on(at::kCPU, Precision::kBFloat16, seen, false),
              scores_on(at::kCPU, Precision::kFloat32, seen, false), seen, 2e-2, "bfloat16");
}

TEST(Device, gpuGivesWhatTheCpuGives) {
  if (!torch::cuda::is_available()) GTEST_SKIP() << "no CUDA device, or a build without CUDA";
  NAGL_NEEDS_BACKBONE(file);  // random weights feel any rounding
  const Pictures seen = pictures();
  const Scores expected = scores_on(at::kCPU, Precision::kFloat32, seen, false);
  for (const bool graphs : {false, true}) {
    for (const auto& [precision, tolerance] :
         {std::pair{Precision::kFloat32, 1e-3}, {Precision::kBFloat16, 2e-2}}) {
      const Scores found = scores_on(at::Device(at::kCUDA, 0), precision, seen, graphs);
      const std::string how = to_string(precision) + (graphs ? " with graphs" : "");
      expect_same(found, expected, seen, tolerance, how);
      const std::int64_t all = seen.pixels.size(0), queries = all - 5;
      EXPECT_EQ(found.encoding.recorded, graphs ? 1 : 0) << how;
      EXPECT_EQ(found.encoding.replayed, graphs ? all - 1 : 0) << how;
      EXPECT_EQ(found.scoring.recorded, graphs ? 1 : 0) << how;
      EXPECT_EQ(found.scoring.replayed, graphs ? queries - 1 : 0) << how;
    }
  }
}

TEST(Device, gpuHoldsACopyOfAHead) {
  if (!torch::cuda::is_available()) GTEST_SKIP() << "no CUDA device, or a build without CUDA";
  const at::Device device(at::kCUDA, 0);
  TrainedHead trained;
  trained.head = NaglHead(NaglHeadOptions());
  trained.head->initialize(3);
  const TrainedHead there = trained.on(device);
  const auto parameters = there.head->named_parameters();
  for (const auto& item : trained.head->named_parameters()) {
    EXPECT_TRUE(item.value().is_cpu()) << item.key();
    EXPECT_EQ(parameters[item.key()].device(), device) << item.key();
    EXPECT_TRUE(parameters[item.key()].cpu().equal(item.value())) << item.key();
  }
  EXPECT_EQ(there.on(device).head.get(), there.head.get());
  EXPECT_EQ(there.on(at::kCUDA).head.get(), there.head.get());
}

// A recorded pass refers to the position embedding of its own grid.
TEST(Device, gpuKeepsGraphsOfSizesThatTakeTurns) {
  if (!torch::cuda::is_available()) GTEST_SKIP() << "no CUDA device, or a build without CUDA";
  BackboneOptions options;
  options.device = at::Device(at::kCUDA, 0);
  const auto network = backbone(options);
  const at::Tensor large = torch::randn({1, 3, 448, 448}), small = torch::randn({1, 3, 224, 224});
  const at::Tensor first_large = network->encode(large), first_small = network->encode(small);
  for (int i = 0; i < 4; ++i) {
    EXPECT_LT(max_difference(network->encode(large), first_large), 1e-3) << i;
    EXPECT_LT(max_difference(network->encode(small), first_small), 1e-3) << i;
  }
  EXPECT_EQ(network->graph_counts().recorded, 2);
  EXPECT_EQ(network->graph_counts().replayed, 8);
}

TEST(Device, gpuEncodesPartsOfABatchThatIsTooLarge) {
  if (!torch::cuda::is_available()) GTEST_SKIP() << "no CUDA device, or a build without CUDA";
  std::vector<std::int64_t> told;
  BackboneOptions options;
  options.device = at::Device(at::kCUDA, 0);
  options.batch_shrunk = [&](std::int64_t most) { told.push_back(most); };
  const auto network = backbone(options);
  // Leaves two gibibytes: pictures and features of a large batch fit, what is between does not.
  const auto free = static_cast<std::int64_t>(free_device_memory(options.device));
  const auto taken = at::empty({free - (std::int64_t{2} << 30)},
                               at::TensorOptions().device(options.device).dtype(at::kByte));
  const auto images = torch::randn({256, 3, 448, 448}).to(options.device);
  const auto features = network->encode(images);
  EXPECT_FALSE(told.empty());
  EXPECT_EQ(features.size(0), 256);
  EXPECT_LT(max_difference(features.slice(0, 0, 1), network->encode(images.slice(0, 0, 1))), 1e-2);
}

TEST(Device, gpuHasTheSameDiscriminant) {
  if (!torch::cuda::is_available()) GTEST_SKIP() << "no CUDA device";
  const c10::InferenceMode guard;
  const auto random = at::make_generator<at::CPUGeneratorImpl>(1);
  const at::Tensor all = at::randn({4, kGrid.size(), 384}, random) + 0.5;
  const at::Tensor mask = at::zeros({1, kGrid.size()}, at::kBool);
  mask.slice(1, 500, 540).fill_(true);
  const auto scores_on = [&](at::Device device) {
    const ReferenceFeatures features =
        ReferenceFeatures::of_pictures(all.slice(0, 0, 2), all.slice(0, 2, 3), mask, kGrid)
            .on(device);
    const ReferenceBank bank(features, nullptr, kGrid, Precision::kFloat32, DiscriminantOptions());
    return bank.score(all.slice(0, 3).to(device), Method::kDiscriminant).to(at::kCPU);
  };
  EXPECT_LT(max_difference(scores_on(at::kCUDA), scores_on(at::kCPU)), 1e-2);
}

// The last test: after it there are none in this process.
TEST(Device, gpuSaysWhatCannotBeRecorded) {
  if (!torch::cuda::is_available()) GTEST_SKIP() << "no CUDA device, or a build without CUDA";
  const auto one = at::ones({4}, at::Device(at::kCUDA, 0));
  GraphCache cache;
  const auto waits = [](const at::Tensor& input) { return input * input.sum().item<float>(); };
  for (int i = 0; i < 3; ++i) {
    EXPECT_TRUE(cache.run(one, waits).cpu().equal(at::full({4}, 4.0F))) << i;
  }
  EXPECT_EQ(cache.counts().failed, 1);
  EXPECT_EQ(cache.counts().replayed, 0);
  // What follows works as if nothing had been.
  EXPECT_TRUE((at::ones({1 << 20}, one.options()) + 1).cpu().equal(at::full({1 << 20}, 2.0F)));
  EXPECT_EQ(record_graph(one, [](const at::Tensor& input) { return input + 1; }), nullptr);
}

}  // namespace
}  // namespace nagl
