#include "nagl/training/validation.h"

#include <cmath>

#include "nagl/core/error.h"
#include "tensors.h"
#include "training/stored_source.h"

namespace nagl {
namespace {

using testing::message_of;
using testing::small_head;
using testing::StoredSource;

constexpr std::int64_t kWidth = StoredSource::kWidth;

/// A head whose anomaly proxies are all the last axis, whatever it sees: features without a part
/// along it have the abnormal cosine 0, and what is left is the distance to the nearest normal
/// patch.
NaglHead blind_head() {
  NaglHead head(small_head());
  const at::NoGradGuard no_grad;
  for (auto& item : head->named_parameters()) item.value().zero_();
  head->named_parameters()["afl_sa.norm.bias"][kWidth - 1] = 1;
  return head;
}

NaglHead random_head(std::uint64_t seed) {
  NaglHead head(small_head());
  head->initialize(seed);
  return head;
}

at::Tensor axis(std::int64_t channel) { return at::eye(kWidth)[channel]; }

/// All 16 patches alike.
at::Tensor all_like(const at::Tensor& patch) { return patch.expand({16, kWidth}).contiguous(); }

/// The lower two rows of patches. A band across the picture has no corners, where upsampling would
/// make the inside lower than the outside of an edge.
at::Tensor lower_half() { return at::arange(16).ge(8); }

at::Tensor with_defect(const at::Tensor& patch, const at::Tensor& defect) {
  return at::where(lower_half().unsqueeze(1), defect, patch).contiguous();
}

Validator validator_of(EpisodeLoader& loader, const StoredSource& source, std::uint64_t seed = 1,
                       std::int64_t draws = 2, const EpisodeOptions& episodes = {}) {
  ValidationOptions options;
  options.draws = draws;
  return {loader, source.categories(), episodes, options, seed};
}

/// Good pictures all alike, and defects that look like nothing else.
void add_perfect(StoredSource& source, const std::string& category) {
  for (int i = 0; i < 4; ++i) source.add(category, "", all_like(axis(0)));
  for (int i = 0; i < 3; ++i) {
    source.add(category, "crack", with_defect(axis(0), axis(kWidth - 1)), lower_half());
  }
}

/// Two good pictures that differ in everything, and two defects that differ in less. One of each is
/// a reference, so the other good one scores highest: (1 - 0) / 2 against (1 - 0.6) / 2. Were a
/// reference among the queries, it would score lower than the other good one.
void add_reversed(StoredSource& source, const std::string& category) {
  source.add(category, "", all_like(axis(0)));
  source.add(category, "", all_like(axis(1)));
  const auto between = 0.6 * axis(0) + 0.6 * axis(1) + std::sqrt(0.28) * axis(2);
  for (int i = 0; i < 2; ++i) source.add(category, "crack", all_like(between), lower_half());
}

TEST(Validator, PerfectFeaturesArePerfect) {
  StoredSource source;
  add_perfect(source, "part");
  auto loader = source.loader();
  auto head = blind_head();
  const auto metrics = validator_of(loader, source).evaluate(head, 4);
  EXPECT_DOUBLE_EQ(metrics.image_auroc, 1);
  EXPECT_DOUBLE_EQ(metrics.pixel_auroc, 1);
  EXPECT_DOUBLE_EQ(metrics.pro, 1);
  EXPECT_DOUBLE_EQ(metrics.score(), 1);
}

TEST(Validator, ReferencesAreNotAmongTheQueries) {
  StoredSource source;
  add_reversed(source, "part");
  auto loader = source.loader();
  auto head = blind_head();
  for (std::uint64_t seed = 0; seed < 5; ++seed) {
    EXPECT_EQ(validator_of(loader, source, seed).evaluate(head, 4).image_auroc, 0);
  }
}

TEST(Validator, TakesTheMeanOverCategories) {
  StoredSource source;
  add_perfect(source, "a");
  add_reversed(source, "b");
  auto loader = source.loader();
  auto head = blind_head();
  EXPECT_DOUBLE_EQ(validator_of(loader, source).evaluate(head, 4).image_auroc, 0.5);
}

TEST(Validator, SetsAreTheSameInEveryEvaluation) {
  StoredSource source;
  source.add_products(2);
  auto loader = source.loader();
  const auto validator = validator_of(loader, source);
  auto head = random_head(1), other = random_head(2);
  const auto text = [&](const Validator& by, NaglHead& of, std::int64_t batch_size) {
    return dump_json(to_json(by.evaluate(of, batch_size)));
  };
  const auto first = text(validator, head, 8);
  EXPECT_NE(text(validator, other, 8), first);  // the head counts,
  EXPECT_EQ(text(validator, head, 8), first);   // and how often it was asked does not
  EXPECT_EQ(text(validator_of(loader, source), head, 8), first);
  EXPECT_NE(text(validator_of(loader, source, 2), head, 8), first);
  EXPECT_NE(text(validator_of(loader, source, 1, 1), head, 8), first);
  const auto one_by_one = validator.evaluate(head, 1), together = validator.evaluate(head, 100);
  EXPECT_NEAR(one_by_one.image_auroc, together.image_auroc, 1e-9);
  EXPECT_NEAR(one_by_one.pixel_auroc, together.pixel_auroc, 1e-4);
  EXPECT_NEAR(one_by_one.pro, together.pro, 1e-4);
}

TEST(Validator, LeavesNoGradientBehind) {
  StoredSource source;
  add_perfect(source, "part");
  auto loader = source.loader();
  auto head = random_head(1);
  validator_of(loader, source).evaluate(head, 4);
  for (const auto& item : head->named_parameters()) {
    EXPECT_TRUE(item.value().requires_grad()) << item.key();
    EXPECT_FALSE(item.value().grad().defined()) << item.key();
  }
}

TEST(Validator, NeedsOnePictureMoreThanReferences) {
  StoredSource source;
  add_reversed(source, "part");  // two good, two cracks
  auto loader = source.loader();
  EpisodeOptions episodes;
  EXPECT_TRUE(validator_of(loader, source, 1, 1, episodes).possible());
  episodes.normal_shots = {2};
  EXPECT_FALSE(validator_of(loader, source, 1, 1, episodes).possible());
  episodes.normal_shots = {1};
  episodes.abnormal_shots = 2;
  EXPECT_FALSE(validator_of(loader, source, 1, 1, episodes).possible());
}

TEST(ValidationOptions, ChecksItsValues) {
  ValidationOptions options;
  EXPECT_NO_THROW(options.check());
  options.draws = 0;
  EXPECT_THROW(options.check(), ConfigError);
  options.draws = 101;
  EXPECT_THROW(options.check(), ConfigError);
  options.draws = 1;
  options.category = "part";
  for (const auto hold_out : {HoldOut::kAuto, HoldOut::kCategory}) {
    options.hold_out = hold_out;
    EXPECT_NO_THROW(options.check());
  }
  for (const auto hold_out : {HoldOut::kPictures, HoldOut::kNone}) {
    options.hold_out = hold_out;
    const auto message = message_of<ConfigError>([&] { options.check(); });
    EXPECT_NE(message.find("validation.category 'part'"), std::string::npos) << message;
  }
}

TEST(ValidationMetrics, GoThroughJson) {
  const ValidationMetrics metrics{0.5, 0.25, 0.75};
  const auto read = validation_metrics_from_json(Json::parse(dump_json(to_json(metrics))));
  EXPECT_EQ(read.image_auroc, 0.5);
  EXPECT_EQ(read.pixel_auroc, 0.25);
  EXPECT_EQ(read.pro, 0.75);
  EXPECT_EQ(read.score(), 0.5);
}

}  // namespace
}  // namespace nagl
