#include "nagl/nn/nagl_head.h"

#include <set>

#include "nagl/core/error.h"
#include "nagl/nn/losses.h"
#include "nagl/nn/residual_mining.h"
#include "tensors.h"

namespace nagl {
namespace {

using testing::expect_same_residuals;
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
    patches.positions = position_encoding(patches.grid, 384);
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
  const at::NoGradGuard no_grad;
  const GoldenEpisode episode(data, GetParam());
  auto head = golden_head(data);
  auto defect = episode.defect();
  auto query = episode.query();
  const auto expect_near = [&](const at::Tensor& value, const std::string& name) {
    EXPECT_LT(max_difference(value.flatten(), episode.read(name).flatten()), 1e-4) << name;
  };
  expect_near(defect.positions, "pos_masked");
  expect_near(position_encoding({32, 32}, 384), "pos_unmasked");
  const auto abnormal_residuals = episode.batch("abnormal_residuals");
  const auto query_residuals = episode.batch("query_residuals");
  expect_same_residuals(defect.features[0], defect.residuals[0], abnormal_residuals[0]);
  expect_same_residuals(query.features[0], query.residuals[0], query_residuals[0]);
  defect.residuals = abnormal_residuals;  // of neighbours that tie, the published code's
  query.residuals = query_residuals;
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

constexpr LossForm kForms[] = {LossForm::kPublished, LossForm::kPaper};

/// Features, masks and label of an episode, before the loader makes batches of them.
struct RandomEpisode {
  at::Tensor normal;      ///< [K1 * N, C]
  at::Tensor abnormal;    ///< [K2 * N, C]
  at::Tensor mask;        ///< [K2, rows, columns] bool
  at::Tensor query;       ///< [N, C]
  at::Tensor query_mask;  ///< [H, W] uint8
  float label = 0;
};

/// @param marked patches of each abnormal reference's mask
RandomEpisode random_episode(at::Generator random, PatchGrid grid, std::int64_t width,
                             std::int64_t normal_shots, std::int64_t abnormal_shots,
                             std::int64_t marked) {
  RandomEpisode episode;
  const std::int64_t patches = grid.size();
  episode.normal = torch::randn({normal_shots * patches, width}, random);
  episode.abnormal = torch::randn({abnormal_shots * patches, width}, random);
  episode.query = torch::randn({patches, width}, random);
  const auto order = torch::rand({abnormal_shots, patches}, random).argsort(/*stable=*/true, 1);
  episode.mask = order.lt(marked).reshape({abnormal_shots, grid.rows, grid.columns});
  episode.label = marked % 2 == 0 ? 1.0F : 0.0F;
  episode.query_mask =
      torch::rand({grid.rows * 5, grid.columns * 4}, random).lt(0.3 * episode.label).to(at::kByte);
  return episode;
}

/// Episodes as the head and the losses take them.
struct Batch {
  DefectPatches references;
  QueryPatches queries;
  at::Tensor labels, masks;
};

Batch batch_of(const std::vector<RandomEpisode>& episodes, at::ScalarType type) {
  Batch batch;
  std::vector<at::Tensor> abnormal, residuals_of, masks, features, query_residuals, cosines;
  std::vector<at::Tensor> query_masks;
  std::vector<float> labels;
  for (const auto& episode : episodes) {
    const NeighborRows normal(episode.normal.to(type));
    abnormal.push_back(episode.abnormal.to(type));
    residuals_of.push_back(residuals(abnormal.back(), normal));
    masks.push_back(episode.mask);
    features.push_back(episode.query.to(type));
    query_residuals.push_back(residuals(features.back(), normal));
    cosines.push_back(max_cosine(features.back(), normal));
    query_masks.push_back(episode.query_mask);
    labels.push_back(episode.label);
  }
  const auto mask = at::stack(masks);  // [B, K2, rows, columns]
  const std::int64_t width = episodes.front().query.size(1);
  const auto packed = pack_masked(mask.flatten(1));
  const auto pick = [&](const std::vector<at::Tensor>& tokens) {
    return at::stack(tokens).gather(1, packed.index.unsqueeze(2).expand({-1, -1, width}));
  };
  batch.references = {pick(abnormal), pick(residuals_of),
                      masked_position_encoding(mask, width, packed.index).to(type), packed.mask};
  batch.queries = {at::stack(features),
                   at::stack(query_residuals),
                   at::stack(cosines),
                   {mask.size(2), mask.size(3)},
                   position_encoding({mask.size(2), mask.size(3)}, width).to(type)};
  batch.labels = torch::tensor(labels);
  batch.masks = at::stack(query_masks);
  return batch;
}

/// All weights random, so that biases and norms have a part in everything.
NaglHead random_head(const NaglHeadOptions& options, at::ScalarType type) {
  NaglHead head(options);
  const at::NoGradGuard no_grad;
  const auto random = at::make_generator<at::CPUGeneratorImpl>(11);
  for (auto& parameter : head->parameters()) parameter.normal_(0, 0.3, random);
  head->to(type);
  return head;
}

EpisodeLosses losses_of(NaglHead& head, const Batch& batch, LossForm form) {
  const auto scores = head->forward(batch.references, batch.queries);
  return episode_losses(scores, batch.queries.grid, batch.labels, batch.masks, form);
}

/// All gradients of the mean loss, one after the other.
at::Tensor gradient_of(NaglHead& head, const EpisodeLosses& losses) {
  head->zero_grad();
  losses.total(1).mean().backward();
  std::vector<at::Tensor> gradients;
  for (const auto& parameter : head->parameters()) gradients.push_back(parameter.grad().flatten());
  return at::cat(gradients).clone();
}

void expect_batch_equals_single(at::ScalarType type, double tolerance) {
  NaglHeadOptions options;
  options.width = 32;
  auto head = random_head(options, type);
  const auto random = at::make_generator<at::CPUGeneratorImpl>(5);
  std::vector<RandomEpisode> episodes;
  for (std::int64_t i = 0; i < 8; ++i) {  // 1, 5, ... 29 of 30 patches are masked in
    episodes.push_back(random_episode(random, {5, 6}, options.width, 1 + i % 3, 2, 1 + 4 * i));
  }
  for (const auto form : kForms) {
    SCOPED_TRACE(to_string(form));
    const auto together = losses_of(head, batch_of(episodes, type), form);
    const auto gradient = gradient_of(head, together);
    std::vector<at::Tensor> classification, focal, dice;
    at::Tensor sum = at::zeros_like(gradient);
    for (const auto& episode : episodes) {
      const auto alone = losses_of(head, batch_of({episode}, type), form);
      classification.push_back(alone.classification);
      focal.push_back(alone.focal);
      dice.push_back(alone.dice);
      sum += gradient_of(head, alone);
    }
    EXPECT_LT(relative_difference(together.classification, at::cat(classification)), tolerance);
    EXPECT_LT(relative_difference(together.focal, at::cat(focal)), tolerance);
    EXPECT_LT(relative_difference(together.dice, at::cat(dice)), tolerance);
    EXPECT_LT(relative_difference(gradient, sum / 8), tolerance);
  }
}

TEST(NaglHead, ABatchGivesWhatItsEpisodesGive) {
  expect_batch_equals_single(at::kDouble, 1e-12);
  expect_batch_equals_single(at::kFloat, 5e-6);  // rounding alone, through the fused pixel losses
}

TEST(NaglHead, GradientsEqualFiniteDifferences) {
  constexpr double kStep = 1e-5;
  NaglHeadOptions options;
  options.width = 8;
  options.heads = 2;
  options.proxies = 3;
  auto head = random_head(options, at::kDouble);
  const auto random = at::make_generator<at::CPUGeneratorImpl>(9);
  const auto batch = batch_of(
      {random_episode(random, {2, 3}, 8, 1, 1, 2), random_episode(random, {2, 3}, 8, 2, 1, 3)},
      at::kDouble);
  for (const auto form : kForms) {
    gradient_of(head, losses_of(head, batch, form));
    for (auto& item : head->named_parameters()) {
      const at::NoGradGuard no_grad;
      const auto values = item.value().view({-1});
      const auto expected = at::zeros_like(values);
      for (std::int64_t i = 0; i < values.numel(); ++i) {
        const double value = values[i].item<double>();
        const auto loss_at = [&](double moved) {
          values[i] = moved;
          return losses_of(head, batch, form).total(1).mean().item<double>();
        };
        expected[i] = (loss_at(value + kStep) - loss_at(value - kStep)) / (2 * kStep);
        values[i] = value;
      }
      ASSERT_GT(expected.norm().item<double>(), 1e-5) << item.key();  // or nothing was compared
      EXPECT_LT(relative_difference(item.value().grad().flatten(), expected), 1e-5)
          << item.key() << " " << to_string(form);
    }
  }
}

TEST(NaglHead, NamesAndSizeAreThePublishedOnes) {
  std::set<std::string> expected = {"learnable_proxies.weight"};
  for (const std::string stage : {"rm", "afl"}) {
    for (const std::string part : {"_ca.multihead_attn.", "_sa.self_attn."}) {
      for (const std::string name :
           {"in_proj_weight", "in_proj_bias", "out_proj.weight", "out_proj.bias"}) {
        expected.insert(stage + part + name);
      }
    }
    for (const std::string part : {"_ca.norm.", "_sa.norm."}) {
      expected.insert(stage + part + "weight");
      expected.insert(stage + part + "bias");
    }
  }
  const NaglHead head((NaglHeadOptions()));
  std::set<std::string> found;
  std::int64_t numbers = 0;
  for (const auto& [name, tensor] : state_of(*head)) {
    found.insert(name);
    numbers += tensor.numel();
  }
  EXPECT_EQ(found, expected);
  EXPECT_EQ(numbers, 2'378'112);
}

TEST(NaglHead, InitialWeightsAreAFunctionOfTheSeed) {
  NaglHead first((NaglHeadOptions())), second((NaglHeadOptions()));
  first->initialize(1);
  at::manual_seed(3);  // Torch's own generator has no part in it
  second->initialize(1);
  const auto state = state_of(*first);
  for (const auto& [name, tensor] : state_of(*second)) {
    EXPECT_TRUE(tensor.equal(state.at(name))) << name;
  }
  second->initialize(2);
  EXPECT_FALSE(state.at("rm_ca.multihead_attn.in_proj_weight")
                   .equal(state_of(*second).at("rm_ca.multihead_attn.in_proj_weight")));
  const auto& proxies = state.at("learnable_proxies.weight");  // 9600 of N(0, 1)
  EXPECT_NEAR(proxies.mean().item<double>(), 0, 0.05);
  EXPECT_NEAR(proxies.std().item<double>(), 1, 0.05);
}

TEST(NaglHead, ScoresDoNotDependOnTheOrderOrTheRepetitionOfReferences) {
  const auto random = at::make_generator<at::CPUGeneratorImpl>(4);
  constexpr std::int64_t kWidth = 12, kPatches = 6;
  for (const std::int64_t heads : {1, 2, 3, 4, 6, 12}) {
    for (const std::int64_t proxies : {1, 7}) {
      NaglHeadOptions options;
      options.width = kWidth;
      options.heads = heads;
      options.proxies = proxies;
      auto head = random_head(options, at::kDouble);
      const auto scores = [&](const RandomEpisode& episode) {
        const auto batch = batch_of({episode}, at::kDouble);
        return head->forward(batch.references, batch.queries).fused;
      };
      const auto episode = random_episode(random, {2, 3}, kWidth, 2, 2, 3);
      const auto expected = scores(episode);
      ASSERT_EQ(expected.sizes(), at::IntArrayRef({1, kPatches}));
      EXPECT_GE(expected.min().item<double>(), 0);
      EXPECT_LE(expected.max().item<double>(), 1);

      const auto blocks = [&](const at::Tensor& rows, std::vector<std::int64_t> order) {
        return rows.reshape({2, kPatches, kWidth})
            .index_select(0, torch::tensor(order))
            .flatten(0, 1);
      };
      auto other = episode;
      other.normal = blocks(episode.normal, {1, 0, 1});
      other.abnormal = blocks(episode.abnormal, {1, 0});
      other.mask = episode.mask.flip(0);
      EXPECT_LT(max_difference(scores(other), expected), 1e-12);
      // Twice each: every weight of the attention is halved, and there are two of it.
      other.abnormal = blocks(episode.abnormal, {1, 0, 1, 0});
      other.mask = at::cat({other.mask, other.mask});
      EXPECT_LT(max_difference(scores(other), expected), 1e-12);
      // One reference alone is another task.
      other.abnormal = blocks(episode.abnormal, {0});
      other.mask = episode.mask.slice(0, 0, 1);
      EXPECT_GT(max_difference(scores(other), expected), 1e-6);
    }
  }
}

TEST(MeanCosine, ByHand) {
  const auto features = torch::tensor({3.0F, 4.0F, 0.0F, -2.0F, 0.0F, 0.0F}).reshape({1, 3, 2});
  const auto proxies = torch::tensor({1.0F, 0.0F, 0.0F, 5.0F}).reshape({1, 2, 2});
  // (3, 4): 0.6 and 0.8; (0, -2): 0 and -1; a zero vector has none.
  EXPECT_LT(max_difference(mean_cosine(features, proxies), torch::tensor({{0.7F, -0.5F, 0.0F}})),
            1e-6);
}

TEST(MeanCosine, StaysInItsRange) {
  // Rounded, the cosine of a vector with itself is often a little above 1; scores must not be.
  const auto random = at::make_generator<at::CPUGeneratorImpl>(1);
  const auto features = torch::randn({200, 1, 50}, random);
  EXPECT_EQ(mean_cosine(features, features).max().item<float>(), 1);
  EXPECT_EQ(mean_cosine(features, -features).min().item<float>(), -1);
  // A query in the good references and against all proxies: the paper's loss takes 0 as it is.
  const auto scores = fuse(torch::ones({200, 1}), mean_cosine(features, -features));
  const auto losses = episode_losses(scores, {1, 1}, torch::zeros({200}),
                                     at::zeros({200, 2, 2}, at::kByte), LossForm::kPaper);
  EXPECT_LT(losses.classification.max().item<float>(), 1e-6);
}

TEST(Fuse, ByHand) {
  const auto scores =
      fuse(torch::tensor({{0.6F, 1.0F, -1.0F}}), torch::tensor({{-0.2F, -1.0F, 1.0F}}));
  EXPECT_LT(max_difference(scores.normal_similarity, torch::tensor({{0.8F, 1.0F, 0.0F}})), 1e-6);
  EXPECT_LT(max_difference(scores.abnormal_similarity, torch::tensor({{0.4F, 0.0F, 1.0F}})), 1e-6);
  EXPECT_LT(max_difference(scores.fused, torch::tensor({{0.3F, 0.0F, 1.0F}})), 1e-6);
}

TEST(NaglHeadOptions, ChecksItsValues) {
  const auto refused = [](std::int64_t width, std::int64_t heads, std::int64_t proxies,
                          const std::string& because) {
    NaglHeadOptions options;
    options.width = width;
    options.heads = heads;
    options.proxies = proxies;
    const auto message = testing::message_of<ConfigError>([&] { options.check(); });
    EXPECT_NE(message.find(because), std::string::npos) << message;
    EXPECT_THROW(NaglHead{options}, ConfigError);
  };
  refused(0, 1, 25, "width 0");
  refused(6, 1, 25, "width 6");
  refused(8, 0, 25, "head.heads 0");
  refused(8, 3, 25, "head.heads 3");
  refused(8, 2, 0, "head.proxies 0");
  refused(8, 2, 5000, "head.proxies 5000");
  NaglHeadOptions smallest;
  smallest.width = 4;
  smallest.heads = smallest.proxies = 1;
  EXPECT_NO_THROW(smallest.check());
}

TEST(NaglHead, ACloneIsAHeadOfItsOwn) {
  NaglHeadOptions options;
  options.width = 12;
  options.heads = 3;
  options.proxies = 5;
  options.residual_metric = ResidualMetric::kCosine;
  NaglHead head(options);
  head->initialize(3);
  head->eval();
  const auto original = head->named_parameters();
  for (auto& parameter : head->parameters()) parameter.set_requires_grad(false);
  const auto copy = std::dynamic_pointer_cast<NaglHeadImpl>(head->clone());
  ASSERT_NE(copy, nullptr);
  EXPECT_EQ(copy->options(), options);
  EXPECT_FALSE(copy->is_training());
  ASSERT_EQ(copy->named_parameters().size(), original.size());
  for (const auto& item : copy->named_parameters()) {
    const auto& of = original[item.key()];
    EXPECT_TRUE(item.value().equal(of)) << item.key();
    EXPECT_NE(item.value().data_ptr(), of.data_ptr()) << item.key();
    EXPECT_FALSE(item.value().requires_grad()) << item.key();
  }
  // What the clone computes with are its own weights.
  const at::NoGradGuard no_grad;
  const auto tokens = [] { return torch::randn({1, 6, 12}); };
  const DefectPatches references{tokens(), tokens(), tokens(), at::ones({1, 6}, at::kBool)};
  const auto before = head->mine(references);
  EXPECT_TRUE(copy->mine(references).equal(before));
  copy->named_parameters()["learnable_proxies.weight"].mul_(2);
  EXPECT_FALSE(copy->mine(references).equal(before));
  EXPECT_TRUE(head->mine(references).equal(before));
}

}  // namespace
}  // namespace nagl
