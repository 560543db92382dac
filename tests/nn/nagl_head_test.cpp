#include "nagl/nn/nagl_head.h"

#include "nagl/core/error.h"
#include "nagl/nn/losses.h"
#include "tensors.h"

namespace nagl {
namespace {

using testing::max_difference;
using testing::relative_difference;

/// A reference episode of the published method: inputs, intermediates and losses.
struct GoldenEpisode {
  GoldenEpisode(const std::filesystem::path& data, const std::string& name)
      : file(data / "golden" / ("episode_" + name + ".safetensors")),
        references(data / "golden/episode_colour.safetensors") {}

  at::Tensor read(const std::string& name) const {
    return (file.entries().contains(name) ? file : references).read(name);
  }
  at::Tensor batch(const std::string& name) const { return read(name).unsqueeze(0); }

  QueryPatches query() const {
    const NeighborRows normal(read("normal_features"));
    const auto found = nearest_neighbors(read("query_features"), normal);
    QueryPatches patches;
    patches.features = batch("query_features");
    patches.residuals = patches.features - normal.rows.index_select(0, found.index);
    patches.normal_cosine = found.max_cosine.unsqueeze(0);
    patches.grid = {32, 32};
    return patches;
  }

  DefectPatches defect() const {
    const NeighborRows normal(read("normal_features"));
    DefectPatches patches;
    patches.features = batch("abnormal_features");
    patches.residuals = residuals(read("abnormal_features"), normal).unsqueeze(0);
    patches.mask = batch("patch_mask").to(at::kBool);
    patches.positions =
        masked_position_encoding(patches.mask.reshape({1, 1, 32, 32}), patches.features.size(2));
    return patches;
  }

  WeightsFile file, references;
};

NaglHead golden_head(const std::filesystem::path& data) {
  NaglHead head((NaglHeadOptions()));
  WeightsFile(data / "golden/head_pcb_last_layer.safetensors").load_into(*head);
  return head;
}

class GoldenEpisodeTest : public ::testing::TestWithParam<const char*> {};

TEST_P(GoldenEpisodeTest, golden) {
  NAGL_NEEDS_TEST_DATA(data);
  const torch::NoGradGuard no_grad;
  const GoldenEpisode episode(data, GetParam());
  auto head = golden_head(data);
  const auto defect = episode.defect();
  const auto query = episode.query();
  const auto expect_near = [&](const at::Tensor& value, const std::string& name) {
    EXPECT_LT(max_difference(value.flatten(), episode.read(name).flatten()), 1e-4) << name;
  };
  expect_near(defect.positions, "pos_masked");
  expect_near(position_encoding({32, 32}, 384), "pos_unmasked");
  expect_near(defect.residuals, "abnormal_residuals");
  expect_near(query.residuals, "query_residuals");
  const auto residual_proxies = head->mine(defect);
  expect_near(residual_proxies, "residual_proxies");
  const auto anomaly_proxies = head->learn(residual_proxies, query);
  expect_near(anomaly_proxies, "anomaly_proxies");
  const auto scores = fuse(query.normal_cosine, mean_cosine(query.features, anomaly_proxies));
  expect_near(scores.normal_similarity, "s_n");
  expect_near(scores.abnormal_similarity, "s_a");
  expect_near(scores.fused, "a_score");
  const auto image_score = [&](std::int64_t top) {
    return std::get<0>(scores.fused.topk(top, 1)).mean(1);
  };
  expect_near(image_score(10), "image_score");
  expect_near(image_score(20), "image_score_train_top20");

  const auto label = torch::full({1}, std::string(GetParam()) == "colour" ? 1.0 : 0.0);
  const auto mask = episode.batch("query_mask448").to(at::kByte);
  const auto losses = episode_losses(scores, {32, 32}, label, mask, LossForm::kPublished);
  const auto expect_loss = [&](const at::Tensor& value, const std::string& name) {
    EXPECT_LT(relative_difference(value, episode.read(name)), 1e-5) << name;
  };
  expect_loss(losses.classification, "loss_ce");
  expect_loss(losses.focal, "loss_focal");
  expect_loss(losses.dice, "loss_dice");
  expect_loss(losses.total(1), "loss_total");
}

INSTANTIATE_TEST_SUITE_P(NaglHead, GoldenEpisodeTest, ::testing::Values("colour", "good"),
                         [](const auto& info) { return std::string(info.param); });

}  // namespace
}  // namespace nagl
