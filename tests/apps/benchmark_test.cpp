#include <nlohmann/json.hpp>

#include "command.h"

namespace nagl {
namespace {

using testing::contains;
using testing::run_nagl;
using Json = nlohmann::json;

TEST(Benchmark, MeasuresWithoutABackboneFile) {
  const auto run = run_nagl(
      "benchmark --random-weights --device cpu --image-size 112 --layer 1 --rounds 5 --batch-size "
      "2 "
      "--normal-shots 3 --json");
  ASSERT_EQ(run.exit_code, 0) << run.err;
  const Json json = Json::parse(run.out);
  EXPECT_EQ(json["backbone"]["source"], "random weights");
  EXPECT_EQ(json["precision"], "float32");
  EXPECT_EQ(json["image_size"], (std::vector<int>{112, 112}));
  EXPECT_EQ(json["parameters"]["head"], 2378112);
  // 64 patches of 588 values; 65 tokens through two blocks of 12 C^2 weights, attention twice.
  const double operations =
      2e-9 * (64 * 588 * 384. + 2 * (65 * 12 * 384. * 384 + 2 * 65 * 65 * 384.));
  EXPECT_NEAR(json["parts"]["backbone"]["gflop"].get<double>(), operations, 1e-9);
  EXPECT_NEAR(json["parts"]["neighbors"]["gflop"].get<double>(), 2e-9 * 64 * 192 * 384, 1e-9);
  for (const char* name :
       {"matrix_product", "packed_product", "backbone", "neighbors", "afl", "query",
        "query_normal_nn", "query_discriminant", "query_discriminant_turned"}) {
    const Json& part = json["parts"][name];
    EXPECT_EQ(part["rounds"], 5) << name;
    EXPECT_GT(part["median_ms"].get<double>(), 0) << name;
    EXPECT_LE(part["median_ms"].get<double>(), part["p95_ms"].get<double>()) << name;
    EXPECT_LE(part["least_ms"].get<double>(), part["median_ms"].get<double>()) << name;
  }
  const double ratio = json["ratios"]["query_over_backbone"];
  EXPECT_NEAR(ratio,
              json["parts"]["query"]["median_ms"].get<double>() /
                  json["parts"]["backbone"]["median_ms"].get<double>(),
              1e-9);
  EXPECT_GT(ratio, 1);
  ASSERT_EQ(json["throughput"].size(), 1U);
  EXPECT_EQ(json["throughput"][0]["batch"], 2);
  EXPECT_GT(json["throughput"][0]["pictures_per_second"].get<double>(), 0);
  EXPECT_GT(json["training_episodes_per_second"].get<double>(), 0);
  EXPECT_GT(json["peak_memory_mib"].get<double>(), 50);
  EXPECT_FALSE(json.contains("peak_device_memory_mib"));
}

TEST(Benchmark, PartsAreChosenAndShownToPeople) {
  const auto run = run_nagl(
      "benchmark --random-weights --device cpu --image-size 56 --layer 0 --rounds 5 --parts "
      "backbone,query");
  ASSERT_EQ(run.exit_code, 0) << run.err;
  EXPECT_TRUE(contains(run.out, "from random weights")) << run.out;
  EXPECT_TRUE(contains(run.out, "query over backbone: ")) << run.out;
  EXPECT_FALSE(contains(run.out, "neighbors")) << run.out;
  EXPECT_FALSE(contains(run.out, "episodes/s")) << run.out;
}

TEST(Benchmark, WrongOptionsAreExplained) {
  const auto part = run_nagl("benchmark --random-weights --image-size 56 --parts nothing");
  EXPECT_EQ(part.exit_code, 2);
  EXPECT_TRUE(contains(part.err, "there is no part 'nothing'; there are ")) << part.err;
  EXPECT_TRUE(contains(part.err, "backbone")) << part.err;
  EXPECT_EQ(run_nagl("benchmark --random-weights --layer 12").exit_code, 2);
  EXPECT_EQ(run_nagl("benchmark --random-weights --image-size 50").exit_code, 2);
  EXPECT_EQ(run_nagl("benchmark --backbone /nowhere/x.safetensors").exit_code, 4);
  EXPECT_EQ(run_nagl("benchmark --random-weights --device cuda:99").exit_code, 5);
}

}  // namespace
}  // namespace nagl
