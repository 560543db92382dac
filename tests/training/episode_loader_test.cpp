#include "nagl/training/episode_loader.h"

#include "tensors.h"
#include "training/stored_source.h"

namespace nagl {
namespace {

using testing::max_difference;
using testing::StoredSource;

constexpr std::int64_t kWidth = StoredSource::kWidth, kPatches = 16;

/// Pictures 0 to 3 are good; 4, 5 and 6 have 1, 3 and 2 patches with a crack, 7 has none.
class EpisodeLoaderTest : public ::testing::Test {
 protected:
  EpisodeLoaderTest() {
    const auto random = at::make_generator<at::CPUGeneratorImpl>(1);
    const auto add = [&](const std::string& defect, const at::Tensor& mask) {
      features_.push_back(torch::randn({kPatches, kWidth}, random));
      masks_.push_back(mask);
      source_.add("part", defect, features_.back(), mask);
    };
    for (int i = 0; i < 4; ++i) add("", {});
    for (const auto& patches : {std::vector<std::int64_t>{5}, {0, 9, 15}, {2, 3}, {}}) {
      auto mask = at::zeros({kPatches}, at::kBool);
      for (const auto patch : patches) mask[patch] = true;
      add("crack", mask);
    }
  }

  at::Tensor normal_rows(const Episode& episode) const {
    std::vector<at::Tensor> rows;
    for (const auto i : episode.normal) rows.push_back(features_[static_cast<std::size_t>(i)]);
    return at::cat(rows);
  }

  StoredSource source_;
  std::vector<at::Tensor> features_, masks_;
  const std::vector<Episode> episodes_ = {
      {{0, 1}, {4, 5}, 2}, {{3}, {6, 4}, 5}, {{1, 0}, {5, 6}, 3}};
};

TEST_F(EpisodeLoaderTest, ReferencesAreTheMaskedInPatches) {
  auto loader = source_.loader();
  const auto patches = loader.references(episodes_);
  EXPECT_TRUE(patches.mask.sum(1).equal(torch::tensor({4, 3, 5}, at::kLong)));
  ASSERT_EQ(patches.features.sizes(), at::IntArrayRef({3, 5, kWidth}));
  for (std::size_t i = 0; i < 3; ++i) {
    std::vector<at::Tensor> features, marks;
    for (const auto picture : episodes_[i].abnormal) {
      features.push_back(features_[static_cast<std::size_t>(picture)]);
      marks.push_back(masks_[static_cast<std::size_t>(picture)]);
    }
    const auto marked = at::cat(marks).nonzero().squeeze(1);
    const auto kept = at::cat(features).index_select(0, marked);
    const auto positions =
        masked_position_encoding(at::stack(marks).reshape({1, 2, 4, 4}), kWidth)[0];
    const std::int64_t count = marked.size(0);
    const auto of_episode = [&](const at::Tensor& tokens) {
      return tokens[static_cast<std::int64_t>(i)].slice(0, 0, count);
    };
    EXPECT_TRUE(of_episode(patches.mask).all().item<bool>());
    EXPECT_TRUE(of_episode(patches.features).equal(kept));
    EXPECT_TRUE(of_episode(patches.positions).equal(positions.index_select(0, marked)));
    EXPECT_LT(max_difference(of_episode(patches.residuals),
                             residuals(kept, NeighborRows(normal_rows(episodes_[i])))),
              1e-6);
  }
  EXPECT_TRUE(at::isfinite(patches.features).all().item<bool>());
}

TEST_F(EpisodeLoaderTest, QueriesAreComparedWithAllNormalReferences) {
  auto cached = source_.loader(), uncached = source_.loader(0);
  for (int round = 0; round < 2; ++round) {  // the second comes from the cache
    for (auto* loader : {&cached, &uncached}) {
      const auto queries = loader->queries(episodes_);
      EXPECT_EQ(queries.grid, StoredSource::kGrid);
      for (std::size_t i = 0; i < 3; ++i) {
        const auto slot = static_cast<std::int64_t>(i);
        const auto& query = features_[static_cast<std::size_t>(episodes_[i].query)];
        const NeighborRows normal(normal_rows(episodes_[i]));
        EXPECT_TRUE(queries.features[slot].equal(query));
        EXPECT_LT(max_difference(queries.residuals[slot], residuals(query, normal)), 1e-6);
        EXPECT_LT(max_difference(queries.normal_cosine[slot], max_cosine(query, normal)), 1e-6);
      }
    }
  }
  // Pairs (2, 0), (2, 1), (5, 3), (3, 1), (3, 0).
  EXPECT_EQ(cached.cache().misses(), 5U);
  EXPECT_EQ(cached.cache().hits(), 5U);
  EXPECT_EQ(uncached.cache().hits(), 0U);
}

TEST_F(EpisodeLoaderTest, AnEpisodeDoesNotDependOnItsBatch) {
  auto loader = source_.loader(), fresh = source_.loader();
  const auto together = loader.queries(episodes_);
  for (std::size_t i = 0; i < 3; ++i) {
    const auto slot = static_cast<std::int64_t>(i);
    const auto alone = fresh.queries({&episodes_[i], 1});
    EXPECT_TRUE(alone.residuals[0].equal(together.residuals[slot]));
    EXPECT_TRUE(alone.normal_cosine[0].equal(together.normal_cosine[slot]));
  }
}

TEST_F(EpisodeLoaderTest, LabelsAndMasksAreTheQueries) {
  const auto loader = source_.loader();
  EXPECT_TRUE(loader.labels(episodes_).equal(torch::tensor({0.0F, 1.0F, 0.0F})));
  const auto masks = loader.masks(episodes_);
  ASSERT_EQ(masks.sizes(), at::IntArrayRef({3, 16, 16}));
  EXPECT_TRUE(masks.sum({1, 2}).equal(torch::tensor({0, 3 * 16, 0}, at::kLong)));
  // Patch 9 is in the third row and the second column.
  EXPECT_TRUE(masks[1].slice(0, 8, 12).slice(1, 4, 8).all().item<bool>());
}

TEST_F(EpisodeLoaderTest, KnowsWhatCanBeAReference) {
  const auto loader = source_.loader();
  EXPECT_FALSE(loader.has_marked_patch(0));
  EXPECT_TRUE(loader.has_marked_patch(4));
  EXPECT_FALSE(loader.has_marked_patch(7));
}

TEST_F(EpisodeLoaderTest, HalfTheBitsGiveNearlyTheSame) {
  StoredSource half(StoreType::kFloat16);
  for (std::size_t i = 0; i < features_.size(); ++i) {
    half.add("part", i < 4 ? "" : "crack", features_[i], masks_[i]);
  }
  auto exact = source_.loader(), rough = half.loader();
  const auto queries = rough.queries(episodes_);
  EXPECT_EQ(queries.residuals.scalar_type(), at::kFloat);
  EXPECT_LT(max_difference(queries.residuals, exact.queries(episodes_).residuals), 0.01);
  EXPECT_LT(
      max_difference(rough.references(episodes_).residuals, exact.references(episodes_).residuals),
      0.01);
}

}  // namespace
}  // namespace nagl
