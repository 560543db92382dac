#include "nagl/model/reference_bank.h"

#include "nagl/core/error.h"
#include "tensors.h"

namespace nagl {
namespace {

using testing::max_difference;

at::Tensor picture(std::vector<std::vector<float>> patches) {
  std::vector<at::Tensor> rows;
  for (const auto& patch : patches) rows.push_back(torch::tensor(patch));
  return at::stack(rows).unsqueeze(0);
}

TEST(ReferenceBank, ScoresByHand) {
  // One normal picture of two patches; of the abnormal picture only the second patch is a defect.
  const ReferenceBank bank(picture({{1, 0}, {2, 0}}), picture({{1, 0}, {0, 3}}),
                           torch::tensor({{false, true}}));
  const auto query = picture({{5, 0}, {0, 1}, {-1, 0}, {3, 4}});
  const auto expect = [&](Method method, std::vector<float> scores) {
    EXPECT_LT(max_difference(bank.score(query, method)[0], torch::tensor(scores)), 1e-6)
        << to_string(method);
  };
  // Cosines with normal: 1, 0, -1, 0.6; with abnormal: 0, 1, 0, 0.8.
  expect(Method::kNormalNn, {0, 0.5, 1, 0.2});
  expect(Method::kAbnormalNn, {0.5, 1, 0.5, 0.9});
  expect(Method::kBothNn, {0.25, 0.75, 0.75, 0.55});
}

TEST(ReferenceBank, LeavesReferencesOut) {
  const auto normal =
      at::cat({picture({{1, 0}, {0, 1}}), picture({{1, 1}, {0, 2}}), picture({{-1, 0}, {0, -1}})});
  const ReferenceBank bank(normal);
  for (std::int64_t i = 0; i < 3; ++i) {
    std::vector<at::Tensor> others;
    for (std::int64_t k = 0; k < 3; ++k) {
      if (k != i) others.push_back(normal[k]);
    }
    const auto expected =
        ReferenceBank(at::stack(others)).score(normal[i].unsqueeze(0), Method::kNormalNn)[0];
    EXPECT_LT(max_difference(bank.score_left_out(normal[i].unsqueeze(0), i, Method::kNormalNn)[0],
                             expected),
              1e-6)
        << i;
  }
  EXPECT_THROW(ReferenceBank(normal.slice(0, 0, 1))
                   .score_left_out(normal.slice(0, 0, 1), 0, Method::kNormalNn),
               ConfigError);
}

TEST(ReferenceBank, RefusesWhatItCannotScore) {
  const ReferenceBank bank(picture({{1, 0}}));
  const auto message = testing::message_of<ConfigError>([&] {
    bank.score(picture({{1, 0}}), Method::kBothNn);
  });
  EXPECT_NE(message.find("--abnormal"), std::string::npos) << message;
  EXPECT_THROW(bank.score(picture({{1, 0}}), Method::kAbnormalNn), ConfigError);
  EXPECT_THROW(ReferenceBank(torch::zeros({0, 1, 2})).check(Method::kNormalNn), ConfigError);
  EXPECT_THROW(ReferenceBank(picture({{1, 0}}), picture({{1, 0}}), torch::tensor({{false}})),
               std::invalid_argument);
  EXPECT_THROW(ReferenceBank(picture({{1, 0}}), picture({{1, 0}})), std::invalid_argument);
  EXPECT_THROW(parse_as<Method>("nn"), ConfigError);
}

TEST(ImageScore, IsTheMeanOfTheTopPercent) {
  EXPECT_DOUBLE_EQ(image_score(torch::tensor({0.25F, 0.5F, 0.125F})), 0.5);  // at least one
  const auto scores = torch::arange(1024).to(at::kFloat) / 1024;
  EXPECT_NEAR(image_score(scores), (1023 + 1014) / 2.0 / 1024, 1e-7);  // 10 of 1024
  EXPECT_THROW(image_score(torch::zeros({0})), std::invalid_argument);
}

TEST(ReferenceBank, golden) {
  NAGL_NEEDS_TEST_DATA(data);
  const WeightsFile colour(data / "golden/episode_colour.safetensors");
  const auto normal = colour.read("normal_features").reshape({1, 1024, 384});
  const auto abnormal = colour.read("abnormal_features").reshape({1, 1024, 384});
  const auto mask = colour.read("patch_mask").reshape({1, 1024}).to(at::kBool);
  const ReferenceBank bank(normal, abnormal, mask);
  const auto s_n = colour.read("s_n").flatten(), s_a = colour.read("s_a_nn").flatten();
  const auto query = colour.read("query_features").reshape({1, 1024, 384});
  EXPECT_LT(max_difference(bank.score(query, Method::kNormalNn)[0], 1 - s_n), 1e-5);
  EXPECT_LT(max_difference(bank.score(query, Method::kAbnormalNn)[0], s_a), 1e-5);
  EXPECT_LT(max_difference(bank.score(query, Method::kBothNn)[0], (s_a + 1 - s_n) / 2), 1e-5);
}

constexpr PatchGrid kGrid{3, 4};
constexpr std::int64_t kWidth = 8;

NaglHead random_head() {
  NaglHeadOptions options;
  options.width = kWidth;
  options.heads = 2;
  options.proxies = 3;
  NaglHead head(options);
  const at::NoGradGuard no_grad;
  const auto random = at::make_generator<at::CPUGeneratorImpl>(1);
  for (auto& parameter : head->parameters()) parameter.normal_(0, 0.4, random);
  return head;
}

at::Tensor random_pictures(std::int64_t count, std::uint64_t seed) {
  return torch::randn({count, kGrid.size(), kWidth},
                      at::make_generator<at::CPUGeneratorImpl>(seed));
}

/// Masks of 3 and 7 patches.
at::Tensor two_masks() {
  const auto order = torch::rand({2, kGrid.size()}, at::make_generator<at::CPUGeneratorImpl>(9))
                         .argsort(/*stable=*/true, 1);
  return order < torch::tensor({3, 7}).unsqueeze(1);
}

TEST(ReferenceBank, NaglIsTheHeadOnAllTokens) {
  const auto normal = random_pictures(3, 1), abnormal = random_pictures(2, 2);
  const auto queries = random_pictures(4, 3);
  const auto masks = two_masks();
  auto head = random_head();
  for (const std::int64_t count : {1, 2}) {
    const ReferenceBank bank(normal, abnormal.slice(0, 0, count), masks.slice(0, 0, count), head,
                             kGrid);
    const auto found = bank.score(queries, Method::kNagl);
    ASSERT_EQ(found.sizes(), at::IntArrayRef({4, kGrid.size()}));

    const NeighborRows rows(normal.flatten(0, 1));
    const auto mask = masks.slice(0, 0, count).reshape({1, count, kGrid.rows, kGrid.columns});
    const auto tokens = abnormal.slice(0, 0, count).flatten(0, 1);
    const at::NoGradGuard no_grad;
    for (std::int64_t i = 0; i < 4; ++i) {
      const auto nearest = nearest_neighbors(queries[i], rows);
      const auto scores =
          head->forward({tokens.unsqueeze(0), residuals(tokens, rows).unsqueeze(0),
                         masked_position_encoding(mask, kWidth), mask.flatten(1)},
                        {queries[i].unsqueeze(0), residuals(queries[i], rows).unsqueeze(0),
                         nearest.max_cosine.unsqueeze(0), kGrid, position_encoding(kGrid, kWidth)});
      EXPECT_LT(max_difference(found[i], scores.fused[0]), 1e-5) << count << " " << i;
    }
  }
}

TEST(ReferenceBank, NaglTakesTheHeadsOwnMetric) {
  const auto normal = random_pictures(2, 1), abnormal = random_pictures(2, 2);
  auto options = random_head()->options();
  options.residual_metric = ResidualMetric::kCosine;
  NaglHead by_cosine(options);
  const at::NoGradGuard no_grad;
  auto weights = random_head()->parameters(), same = by_cosine->parameters();
  for (std::size_t i = 0; i < same.size(); ++i) same[i].copy_(weights[i]);
  const ReferenceBank dot(normal, abnormal, two_masks(), random_head(), kGrid);
  const ReferenceBank cosine(normal, abnormal, two_masks(), by_cosine, kGrid);
  EXPECT_GT(max_difference(dot.score(random_pictures(1, 3), Method::kNagl),
                           cosine.score(random_pictures(1, 3), Method::kNagl)),
            1e-4);
  // With all normal patches of one length, the metrics agree.
  const auto unit = normal / normal.norm(2, 2, true);
  EXPECT_LT(max_difference(ReferenceBank(unit, abnormal, two_masks(), random_head(), kGrid)
                               .score(random_pictures(1, 3), Method::kNagl),
                           ReferenceBank(unit, abnormal, two_masks(), by_cosine, kGrid)
                               .score(random_pictures(1, 3), Method::kNagl)),
            1e-5);
}

TEST(ReferenceBank, NaglWithoutAbnormalReferencesIsNormalNn) {
  const auto normal = random_pictures(2, 1), queries = random_pictures(3, 2);
  const ReferenceBank bank(normal, {}, {}, random_head(), kGrid);
  EXPECT_EQ(bank.effective(Method::kNagl), Method::kNormalNn);
  EXPECT_TRUE(bank.score(queries, Method::kNagl).equal(bank.score(queries, Method::kNormalNn)));
  EXPECT_TRUE(bank.score_left_out(normal, 1, Method::kNagl)
                  .equal(bank.score_left_out(normal, 1, Method::kNormalNn)));
  const ReferenceBank full(normal, random_pictures(2, 3), two_masks(), random_head(), kGrid);
  EXPECT_EQ(full.effective(Method::kNagl), Method::kNagl);
}

TEST(ReferenceBank, NaglLeavesReferencesOut) {
  const auto normal = random_pictures(3, 1), abnormal = random_pictures(2, 2);
  const ReferenceBank bank(normal, abnormal, two_masks(), random_head(), kGrid);
  for (std::int64_t i = 0; i < 3; ++i) {
    std::vector<at::Tensor> others;
    for (std::int64_t k = 0; k < 3; ++k) {
      if (k != i) others.push_back(normal[k]);
    }
    const ReferenceBank without(at::stack(others), abnormal, two_masks(), random_head(), kGrid);
    EXPECT_LT(max_difference(bank.score_left_out(normal[i].unsqueeze(0), i, Method::kNagl)[0],
                             without.score(normal[i].unsqueeze(0), Method::kNagl)[0]),
              1e-6)
        << i;
  }
}

TEST(ReferenceFeatures, LeavesPicturesOutWhateverRowsTheyHave) {
  // Normal pictures of 1, 3 and 2 rows; abnormal ones of 1 and 2 views with 2, 1 and 3 marks.
  ReferenceFeatures features;
  features.normal = torch::arange(6).to(at::kFloat).reshape({6, 1});
  features.normal_rows = {1, 3, 2};
  features.abnormal = torch::arange(10, 16).to(at::kFloat).reshape({6, 1});
  features.patch_mask =
      torch::tensor({{true, true, false}, {false, false, true}, {true, true, true}});
  features.abnormal_views = {1, 2};
  EXPECT_TRUE(features.normal_picture(1).flatten().equal(torch::tensor({1.0F, 2.0F, 3.0F})));
  const auto without = features.without_normal(1);
  EXPECT_TRUE(without.normal.flatten().equal(torch::tensor({0.0F, 4.0F, 5.0F})));
  EXPECT_EQ(without.normal_rows, (std::vector<std::int64_t>{1, 2}));
  EXPECT_EQ(without.abnormal.data_ptr(), features.abnormal.data_ptr());  // shared
  const auto second = features.without_abnormal(0);
  EXPECT_TRUE(second.abnormal.flatten().equal(torch::tensor({12.0F, 13.0F, 14.0F, 15.0F})));
  EXPECT_TRUE(second.patch_mask.equal(features.patch_mask.slice(0, 1)));
  EXPECT_TRUE(features.without_abnormal(1).abnormal.flatten().equal(torch::tensor({10.0F, 11.0F})));
  EXPECT_FALSE(second.without_abnormal(0).abnormal.defined());
  // What does not add up is refused.
  auto wrong = features;
  wrong.normal_rows = {1, 3};
  EXPECT_THROW(ReferenceBank{wrong}, std::invalid_argument);
  wrong = features;
  wrong.abnormal_views = {1, 1};
  EXPECT_THROW(ReferenceBank{wrong}, std::invalid_argument);
}

TEST(ReferenceBank, ViewsOfOneDefectCountLikePictures) {
  const auto normal = random_pictures(3, 1), abnormal = random_pictures(2, 2);
  const ReferenceBank pictures(normal, abnormal, two_masks(), random_head(), kGrid);
  auto features = pictures.features();
  features.abnormal_views = {2};  // two tiles of one picture
  const ReferenceBank tiles(features, random_head(), kGrid);
  EXPECT_EQ(tiles.abnormal_count(), 1);
  const auto queries = random_pictures(2, 4);
  EXPECT_TRUE(tiles.score(queries, Method::kNagl).equal(pictures.score(queries, Method::kNagl)));
}

TEST(ReferenceBank, NaglNeedsAHeadAndAGrid) {
  const auto normal = random_pictures(2, 1);
  const ReferenceBank headless(normal, random_pictures(2, 2), two_masks());
  const auto message = testing::message_of<ConfigError>(
      [&] { headless.score(random_pictures(1, 3), Method::kNagl); });
  EXPECT_NE(message.find("--model"), std::string::npos) << message;
  EXPECT_THROW(ReferenceBank(normal, {}, {}, random_head(), {4, 4}), std::invalid_argument);
  EXPECT_THROW(ReferenceBank(at::zeros({0, kGrid.size(), kWidth}), random_pictures(2, 2),
                             two_masks(), random_head(), kGrid)
                   .check(Method::kNagl),
               ConfigError);
}

TEST(ReferenceBank, goldenNagl) {
  NAGL_NEEDS_TEST_DATA(data);
  const WeightsFile colour(data / "golden/episode_colour.safetensors");
  const auto picture_of = [&](const WeightsFile& file, const std::string& name) {
    return file.read(name).reshape({1, 1024, 384});
  };
  NaglHead head((NaglHeadOptions()));
  WeightsFile(data / "golden/head_pcb_last_layer.safetensors").load_into(*head);
  const ReferenceBank bank(
      picture_of(colour, "normal_features"), picture_of(colour, "abnormal_features"),
      colour.read("patch_mask").reshape({1, 1024}).to(at::kBool), head, {32, 32});
  for (const std::string name : {"colour", "good"}) {
    const WeightsFile episode(data / "golden" / ("episode_" + name + ".safetensors"));
    const auto scores = bank.score(picture_of(episode, "query_features"), Method::kNagl);
    EXPECT_LT(max_difference(scores.flatten(), episode.read("a_score").flatten()), 1e-4) << name;
    EXPECT_NEAR(image_score(scores[0]), episode.read("image_score").item<double>(), 1e-4) << name;
  }
}

}  // namespace
}  // namespace nagl
