#include <nlohmann/json.hpp>

#include "command.h"

namespace nagl {
namespace {

using testing::contains;
using testing::run_nagl;
using testing::spill;
using testing::TemporaryFolder;
using Json = nlohmann::json;

TEST(Inspect, ListsWhatADataSetHolds) {
  const TemporaryFolder folder;
  const std::string data = (folder / "data").string();
  ASSERT_EQ(run_nagl("synth --size 64 --train-good 2 --test-good 3 --test-defect 1 --out " + data)
                .exit_code,
            0);
  const auto whole = run_nagl("inspect " + data + "/products");
  EXPECT_EQ(whole.exit_code, 0) << whole.err;
  EXPECT_TRUE(contains(whole.out, "layout mvtec, 3 categories")) << whole.out;
  EXPECT_TRUE(contains(whole.out, "train 2 good; test ")) << whole.out;
  EXPECT_TRUE(contains(whole.out, "nothing to remark")) << whole.out;

  std::filesystem::remove(folder / "data/products/board/ground_truth/scratch/000_mask.png");
  spill(folder / "data/products/board/test/good/torn.png", "no picture");
  const auto damaged = run_nagl("inspect --json " + data + "/products/board");
  EXPECT_EQ(damaged.exit_code, 3) << damaged.err;
  const Json json = Json::parse(damaged.out);
  ASSERT_EQ(json["categories"].size(), 1U);
  std::vector<std::string> kinds;
  for (const auto& finding : json["categories"][0]["findings"]) kinds.push_back(finding["kind"]);
  EXPECT_EQ(kinds, (std::vector<std::string>{"broken picture", "missing mask"}));
}

TEST(Inspect, RefusesWhatIsNeitherWeightsNorData) {
  const TemporaryFolder folder;
  spill(folder / "x.safetensors", "no weights");
  EXPECT_EQ(run_nagl("inspect " + (folder / "x.safetensors").string()).exit_code, 4);
  EXPECT_EQ(run_nagl("inspect " + (folder / "absent").string()).exit_code, 4);
  spill(folder / "list.csv", "a,b\n");
  EXPECT_EQ(run_nagl("inspect " + (folder / "list.csv").string()).exit_code, 3);
  EXPECT_EQ(run_nagl("inspect --format coco " + folder.path().string()).exit_code, 2);
}

}  // namespace
}  // namespace nagl
