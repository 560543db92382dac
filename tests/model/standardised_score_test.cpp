#include "nagl/model/standardised_score.h"

#include <ATen/CPUGeneratorImpl.h>

#include <cmath>
#include <vector>

#include "nagl/core/error.h"
#include "nagl/model/reference_bank.h"
#include "tensors.h"

namespace nagl {
namespace {

using testing::max_difference;

constexpr PatchGrid kGrid{12, 12};
constexpr std::int64_t kWidth = 8;

at::Tensor random_pictures(std::int64_t count, std::uint64_t seed) {
  return at::randn({count, kGrid.size(), kWidth}, at::make_generator<at::CPUGeneratorImpl>(seed)) +
         1.5;
}

/// A square of 2 x 2 patches in a corner; 128 of 144 patches are clear of it.
at::Tensor corner_mask(std::int64_t pictures) {
  at::Tensor mask = at::zeros({pictures, kGrid.rows, kGrid.columns}, at::kBool);
  mask.slice(1, 0, 2).slice(2, 0, 2).fill_(true);
  return mask.flatten(1);
}

ReferenceFeatures features_of(const at::Tensor& normal, const at::Tensor& abnormal) {
  return ReferenceFeatures::of_pictures(normal, abnormal, corner_mask(abnormal.size(0)), kGrid);
}

/// A mask that leaves nothing.
void drop_surroundings(ReferenceFeatures& features) {
  features.clear = at::zeros_like(features.clear);
  features.surroundings = features.surroundings.slice(0, 0, 0);
  features.compute_moments();
}

/// Recipe by recipe, in double and with every pair of patches at once.
struct Expected {
  at::Tensor good;  ///< [R, C] rows of unit length that distances go to
  double mean = 0, deviation = 1;
  at::Tensor w, mu;  ///< [C]

  static at::Tensor unit(const at::Tensor& rows) {
    const at::Tensor values = rows.to(at::kDouble);
    return values / values.norm(2, -1, true);
  }
  static at::Tensor distance(const at::Tensor& rows, const at::Tensor& to) {
    return 1 - at::mm(rows, to.t()).amax(1);
  }
  void set_usual(const at::Tensor& distances) {
    mean = distances.mean().item<double>();
    deviation = distances.std(/*unbiased=*/false).item<double>();
  }
  void set_direction(const at::Tensor& good_rows, const at::Tensor& defects,
                     double shrinkage = 0.1) {
    mu = good_rows.mean(0);
    const at::Tensor centred = good_rows - mu;
    const at::Tensor covariance =
        at::mm(centred.t(), centred) / static_cast<double>(good_rows.size(0));
    const at::Tensor regular =
        covariance + at::eye(kWidth, at::kDouble) * (shrinkage * covariance.trace() / kWidth);
    w = at::mv(at::linalg_inv(regular), defects.mean(0) - mu);
    w = w / at::sqrt(w.dot(at::mv(covariance, w)));
  }
  at::Tensor scores(const at::Tensor& queries, double weight) const {
    const at::Tensor rows = unit(queries);
    return (distance(rows, good) - mean) / deviation + weight * at::mv(rows - mu, w);
  }
};

at::Tensor clear_rows(const at::Tensor& picture) {
  const at::Tensor grid = picture.reshape({kGrid.rows, kGrid.columns, kWidth});
  return at::cat({grid.slice(0, 0, 4).slice(1, 4).flatten(0, 1), grid.slice(0, 4).flatten(0, 1)});
}

double worst(const ReferenceFeatures& features, const Expected& expected,
             const DiscriminantOptions& options = {}) {
  const ReferenceBank bank(features, nullptr, kGrid, Precision::kFloat32, options);
  const at::Tensor queries = random_pictures(2, 77);
  return max_difference(
      bank.score(queries, Method::kDiscriminant).flatten(),
      expected.scores(queries.flatten(0, 1), options.weight_for(features.drawn_count())));
}

/// What two normal pictures and the surroundings of two defects say is good and usual.
struct TwoDefects {
  at::Tensor normal = random_pictures(2, 1), abnormal = random_pictures(2, 2);
  at::Tensor mask = corner_mask(2);
  at::Tensor first = Expected::unit(clear_rows(abnormal[0]));
  at::Tensor second = Expected::unit(clear_rows(abnormal[1]));
  at::Tensor rows = Expected::unit(normal.flatten(0, 1));

  Expected expected() const {
    Expected expected;
    expected.good = at::cat({rows, first, second});
    expected.set_usual(at::cat({Expected::distance(first, at::cat({rows, second})),
                                Expected::distance(second, at::cat({rows, first}))}));
    return expected;
  }
};

TEST(StandardisedScore, IsTheRecipe) {
  const TwoDefects two;
  Expected expected = two.expected();
  expected.set_direction(expected.good, Expected::unit(two.abnormal.index({two.mask})));
  const ReferenceFeatures features = features_of(two.normal, two.abnormal);
  EXPECT_LT(worst(features, expected), 1e-4);
  EXPECT_LT(worst(features, expected, {.weight = 0}), 1e-4);
  EXPECT_LT(worst(features, expected, {.weight = 2}), 1e-4);

  // Without surroundings in the memory they still say what is usual.
  expected.good = two.rows;
  expected.set_usual(
      at::cat({Expected::distance(two.first, two.rows), Expected::distance(two.second, two.rows)}));
  EXPECT_LT(worst(features, expected, {.weight = {}, .surroundings = false}), 1e-4);
}

TEST(StandardisedScore, TurnedCopiesAreNearestPatchesAndNothingElse) {
  const at::Tensor normal = random_pictures(1, 1), turned = random_pictures(3, 4);
  const at::Tensor abnormal = random_pictures(1, 2);
  ReferenceFeatures features = features_of(normal, abnormal);
  features.normal = at::cat({features.normal, turned.flatten(0, 1)});
  features.normal_rows = {4 * kGrid.size()};
  features.turns = 4;
  features.compute_moments();
  const at::Tensor around = Expected::unit(clear_rows(abnormal[0]));
  const at::Tensor rows = Expected::unit(features.normal);
  Expected expected;
  expected.good = at::cat({rows, around});
  expected.set_usual(Expected::distance(around, rows));
  expected.set_direction(at::cat({rows.slice(0, 0, kGrid.size()), around}),
                         Expected::unit(abnormal.index({corner_mask(1)})));
  EXPECT_LT(worst(features, expected), 1e-4);
}

TEST(StandardisedScore, WithoutSurroundingsNormalPicturesSayWhatIsUsual) {
  const at::Tensor normal = random_pictures(2, 1), abnormal = random_pictures(1, 2);
  ReferenceFeatures features = features_of(normal, abnormal);
  drop_surroundings(features);  // a mask that leaves nothing
  const at::Tensor first = Expected::unit(normal[0]), second = Expected::unit(normal[1]);
  Expected expected;
  expected.good = at::cat({first, second});
  expected.set_usual(
      at::cat({Expected::distance(first, second), Expected::distance(second, first)}));
  expected.set_direction(expected.good, Expected::unit(abnormal.index({corner_mask(1)})), 1);
  EXPECT_LT(worst(features, expected), 1e-4);
}

TEST(StandardisedScore, OnlyMasksThatSomebodyDrewSayWhatDefectsAreLike) {
  const TwoDefects two;
  ReferenceFeatures features = features_of(two.normal, two.abnormal);
  features.drawn = torch::tensor({false, true});
  EXPECT_EQ(features.drawn_count(), 1);
  Expected expected = two.expected();
  expected.set_direction(expected.good, Expected::unit(two.abnormal[1].index({two.mask[1]})));
  EXPECT_LT(worst(features, expected), 1e-4);
  features.drawn = torch::tensor({false, false});  // then the distance alone is left
  expected.w = at::zeros_like(expected.w);
  EXPECT_LT(worst(features, expected), 1e-4);
  EXPECT_EQ(features.without_abnormal(0).drawn_count(), 0);
}

TEST(StandardisedScore, TheWeightGrowsWithTheSecondDefect) {
  EXPECT_EQ(DiscriminantOptions().weight_for(1), 0.2);
  EXPECT_EQ(DiscriminantOptions().weight_for(2), 0.3);
  EXPECT_EQ(DiscriminantOptions{.weight = 0.7}.weight_for(1), 0.7);
}

TEST(StandardisedScore, ALonePictureIsComparedWithItsOwnFarPatches) {
  const at::Tensor normal = random_pictures(1, 1), abnormal = random_pictures(1, 2);
  ReferenceFeatures features = features_of(normal, abnormal);
  drop_surroundings(features);
  const at::Tensor own = Expected::unit(normal[0]);
  at::Tensor cosine = at::mm(own, own.t());
  for (std::int64_t i = 0; i < kGrid.size(); ++i) {
    for (std::int64_t k = 0; k < kGrid.size(); ++k) {
      const std::int64_t rows = std::abs(i / kGrid.columns - k / kGrid.columns);
      const std::int64_t columns = std::abs(i % kGrid.columns - k % kGrid.columns);
      if (rows <= 2 && columns <= 2) cosine[i][k] = -1;
    }
  }
  Expected expected;
  expected.good = own;
  expected.set_usual(1 - cosine.amax(1));
  expected.set_direction(own, Expected::unit(abnormal.index({corner_mask(1)})), 1);
  EXPECT_LT(worst(features, expected), 1e-4);
}

TEST(StandardisedScore, ALonePictureOfARegionOfInterestTooIsComparedWithItsOwnFarPatches) {
  const at::Tensor normal = random_pictures(1, 1), abnormal = random_pictures(1, 2);
  at::Tensor counted = at::zeros({kGrid.rows, kGrid.columns}, at::kBool);
  counted.slice(1, 0, 5).fill_(true);  // the left five columns
  counted = counted.flatten();
  ReferenceFeatures features = features_of(normal, abnormal);
  features.counted = counted;
  features.normal = normal[0].index({counted});
  features.normal_rows = {features.normal.size(0)};
  drop_surroundings(features);
  const at::Tensor own = Expected::unit(features.normal);
  at::Tensor cosine = at::mm(own, own.t());
  for (std::int64_t i = 0; i < own.size(0); ++i) {
    for (std::int64_t k = 0; k < own.size(0); ++k) {
      if (std::abs(i / 5 - k / 5) <= 2 && std::abs(i % 5 - k % 5) <= 2) cosine[i][k] = -1;
    }
  }
  Expected expected;
  expected.good = own;
  expected.set_usual(1 - cosine.amax(1));
  expected.set_direction(own, Expected::unit(abnormal.index({corner_mask(1)})), 1);
  EXPECT_LT(worst(features, expected), 1e-4);
}

TEST(StandardisedScore, LeavingAPictureOutIsABankWithoutIt) {
  const at::Tensor normal = random_pictures(3, 1), abnormal = random_pictures(2, 2);
  const ReferenceFeatures features = features_of(normal, abnormal);
  const auto scores = [&](const ReferenceFeatures& of) {
    return ReferenceBank(of, nullptr, kGrid, Precision::kFloat32, DiscriminantOptions())
        .score(normal, Method::kDiscriminant);
  };
  const ReferenceBank bank(features, nullptr, kGrid, Precision::kFloat32, DiscriminantOptions());
  const auto fewer = features_of(at::cat({normal.slice(0, 0, 1), normal.slice(0, 2)}), abnormal);
  EXPECT_LT(max_difference(bank.score_left_out(normal, 1, Method::kDiscriminant), scores(fewer)),
            1e-5);
  EXPECT_LT(max_difference(scores(features.without_normal(1)), scores(fewer)), 1e-5);
  EXPECT_LT(max_difference(scores(features.without_abnormal(0)),
                           scores(features_of(normal, abnormal.slice(0, 1)))),
            1e-5);
  EXPECT_FALSE(features.without_abnormal(0).without_abnormal(0).surroundings.defined());
}

TEST(StandardisedScore, NaglsBranchIsStandardisedByTheSameGoodPatches) {
  const at::Tensor normal = random_pictures(2, 1), abnormal = random_pictures(1, 2);
  NaglHeadOptions shape;
  shape.width = kWidth;
  shape.proxies = 3;
  shape.heads = 2;
  NaglHead head(shape);
  head->initialize(1);
  head->eval();
  const DiscriminantOptions options{.weight = 0.5};
  const ReferenceBank bank(features_of(normal, abnormal), head, kGrid, Precision::kFloat32,
                           options);
  // From the fused score (2 + c_a - c_n) / 4 and the distance (1 - c_n) / 2.
  const auto learnt = [&](const at::Tensor& pictures) {
    const auto scores = bank.scores(pictures, {Method::kNagl, Method::kNormalNn});
    return 4 * scores[0] - 1 - 2 * scores[1];
  };
  const at::Tensor query = random_pictures(2, 9);
  const ReferenceBank distances(features_of(normal, abnormal), nullptr, kGrid, Precision::kFloat32,
                                DiscriminantOptions{.weight = 0});
  const at::Tensor branch = (bank.score(query, Method::kNaglStandardised) -
                             distances.score(query, Method::kDiscriminant)) /
                            0.5;
  // (c - m) / s: a line over c, whose m and s are about those of the good patches of the defect's
  // picture. (Of that picture the bank has dropped the patches beside the mask.)
  const at::Tensor cosine = learnt(query);
  const double slope =
      ((branch.max() - branch.min()) / (cosine.max() - cosine.min())).item<double>();
  const double mean = (cosine.mean() - branch.mean() / slope).item<double>();
  EXPECT_LT(max_difference(branch, (cosine - mean) * slope), 5e-3);
  const at::Tensor usual =
      learnt(abnormal).flatten().index({clear_of(corner_mask(1), kGrid).flatten()});
  EXPECT_NEAR(1 / slope, usual.std(/*unbiased=*/false).item<double>(), 0.15 / slope);
  EXPECT_NEAR(mean, usual.mean().item<double>(), 0.15 / slope);
  // Asked together, each method gives what it gives alone.
  const auto both = bank.scores(query, {Method::kNaglStandardised, Method::kDiscriminant});
  EXPECT_LT(max_difference(both[0], bank.score(query, Method::kNaglStandardised)), 1e-5);
  EXPECT_LT(max_difference(both[1], bank.score(query, Method::kDiscriminant)), 1e-5);
}

TEST(StandardisedScore, MomentsStandForRowsThatAThinnedBankDropped) {
  const at::Tensor normal = random_pictures(2, 1), abnormal = random_pictures(1, 2);
  const ReferenceFeatures whole = features_of(normal, abnormal);
  ReferenceFeatures thinned = whole;
  thinned.normal = at::cat({normal[0].slice(0, 0, 10), normal[1].slice(0, 0, 10)});
  thinned.normal_rows = {10, 10};
  thinned.thinned = true;  // and its moments stay
  const auto direction = [](const ReferenceFeatures& features) {
    return ReferenceBank(features, nullptr, kGrid, Precision::kFloat32, DiscriminantOptions())
        .discriminant()
        ->direction;
  };
  EXPECT_LT(max_difference(direction(thinned), direction(whole)), 1e-6);
}

TEST(StandardisedScore, IdenticalReferencesGiveFiniteScores) {
  const at::Tensor same = at::ones({1, kGrid.size(), kWidth});
  const ReferenceBank bank(features_of(same, same), nullptr, kGrid, Precision::kFloat32,
                           DiscriminantOptions());
  EXPECT_TRUE(
      at::isfinite(bank.score(random_pictures(1, 5), Method::kDiscriminant)).all().item<bool>());
  EXPECT_EQ(bank.distance()->usual().deviation, 0.01);
}

TEST(StandardisedScore, RefusesWhatItCannotScore) {
  const at::Tensor normal = random_pictures(1, 1), abnormal = random_pictures(1, 2);
  const auto features = ReferenceFeatures::of_pictures(normal, abnormal, corner_mask(1));
  const ReferenceBank older(features, nullptr, kGrid, Precision::kFloat32, DiscriminantOptions());
  const auto message =
      testing::message_of<ConfigError>([&] { older.score(normal, Method::kDiscriminant); });
  EXPECT_NE(message.find("enroll"), std::string::npos) << message;
  const ReferenceBank good(ReferenceFeatures::of_pictures(normal), nullptr, kGrid,
                           Precision::kFloat32, DiscriminantOptions());
  EXPECT_THROW(good.score(normal, Method::kDiscriminant), ConfigError);
  // `auto` makes do with what there is.
  EXPECT_TRUE(good.score(normal, Method::kAuto).equal(good.score(normal, Method::kNormalNn)));
  EXPECT_EQ(good.effective(Method::kAuto), Method::kNormalNn);
  EXPECT_EQ(older.effective(Method::kAuto), Method::kDiscriminant);
  EXPECT_THROW(DiscriminantOptions({.weight = -1}).check(), ConfigError);
  ReferenceFeatures wrong = features_of(normal, abnormal);
  wrong.surroundings = wrong.surroundings.slice(0, 1);
  EXPECT_THROW(ReferenceBank(wrong, nullptr, kGrid), std::invalid_argument);
}

}  // namespace
}  // namespace nagl
