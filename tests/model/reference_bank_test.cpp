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
    EXPECT_LT(max_difference(bank.score_left_out(i, Method::kNormalNn), expected), 1e-6) << i;
  }
  EXPECT_THROW(ReferenceBank(normal.slice(0, 0, 1)).score_left_out(0, Method::kNormalNn),
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
  EXPECT_THROW(parse_method("nn"), ConfigError);
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

}  // namespace
}  // namespace nagl
