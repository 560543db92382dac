#include "nagl/training/episode_sampler.h"

#include <cmath>
#include <map>
#include <set>

#include "nagl/core/error.h"
#include "support.h"

namespace nagl {
namespace {

using testing::message_of;

std::vector<std::int64_t> range(std::int64_t begin, std::int64_t count) {
  std::vector<std::int64_t> values;
  for (std::int64_t i = 0; i < count; ++i) values.push_back(begin + i);
  return values;
}

/// A picture's place tells what it is: hundreds for the category, tens for the type (0: good).
std::int64_t category_of(std::int64_t picture) { return picture / 100; }
std::int64_t type_of(std::int64_t picture) { return picture % 100 / 10; }

/// Three categories of very different sizes: 5, 9 and 10 good pictures, one to three defect types.
std::vector<CategoryPictures> three() {
  return {{"bottle", range(0, 5), {{"chip", range(10, 3)}}},
          {"cable", range(100, 9), {{"bent", range(110, 3)}, {"cut", range(120, 10)}}},
          {"tile",
           range(200, 10),
           {{"crack", range(210, 4)}, {"glue", range(220, 10)}, {"oil", range(230, 3)}}}};
}

EpisodeOptions shots(std::vector<std::int64_t> normal, std::int64_t abnormal) {
  EpisodeOptions options;
  options.normal_shots = std::move(normal);
  options.abnormal_shots = abnormal;
  return options;
}

template <typename Visit>
void for_each_draw(const EpisodeSampler& sampler, std::int64_t draws, Visit&& visit) {
  for (std::int64_t i = 0; i < draws; ++i) visit(sampler.sample(i / 504, i / 8 % 63, i % 8));
}

/// Whether `count` of `draws` is what chance makes of a share, within 5 standard deviations.
void expect_share(std::int64_t count, std::int64_t draws, double share, const std::string& what) {
  const auto n = static_cast<double>(draws);
  EXPECT_NEAR(static_cast<double>(count), n * share, 5 * std::sqrt(n * share * (1 - share)))
      << what;
}

TEST(EpisodeSampler, IsAPureFunctionOfItsArguments) {
  const EpisodeSampler one(three(), shots({1, 2, 4}, 2), 7), same(three(), shots({1, 2, 4}, 2), 7);
  std::vector<Episode> forward, backward;
  for (std::int64_t i = 0; i < 100; ++i) forward.push_back(one.sample(i / 40, i / 8, i % 8));
  for (std::int64_t i = 99; i >= 0; --i) backward.push_back(same.sample(i / 40, i / 8, i % 8));
  EXPECT_TRUE(std::equal(forward.begin(), forward.end(), backward.rbegin()));

  // Each argument and the seed count: some of a hundred episodes differ.
  const EpisodeSampler other_seed(three(), shots({1, 2, 4}, 2), 8);
  const auto expect_different = [&](auto&& sample) {
    std::vector<Episode> others;
    for (std::int64_t i = 0; i < 100; ++i) others.push_back(sample(i / 40, i / 8, i % 8));
    EXPECT_NE(others, forward);
  };
  expect_different([&](auto e, auto s, auto slot) { return one.sample(e + 1, s, slot); });
  expect_different([&](auto e, auto s, auto slot) { return one.sample(e, s + 1, slot); });
  expect_different([&](auto e, auto s, auto slot) { return one.sample(e, s, slot + 1); });
  expect_different([&](auto e, auto s, auto slot) { return other_seed.sample(e, s, slot); });
}

TEST(EpisodeSampler, EpisodesAreWellFormed) {
  for (const auto query_defect : {QueryDefect::kSame, QueryDefect::kIndependent}) {
    auto options = shots({1, 2, 4}, 2);
    options.query_defect = query_defect;
    const EpisodeSampler sampler(three(), options, 1);
    std::int64_t faults = 0;
    for_each_draw(sampler, 20000, [&](const Episode& episode) {
      std::set<std::int64_t> references(episode.normal.begin(), episode.normal.end());
      references.insert(episode.abnormal.begin(), episode.abnormal.end());
      const auto category = category_of(episode.query);
      const auto type = type_of(episode.abnormal.front());
      bool good = references.size() == episode.normal.size() + episode.abnormal.size();
      good &= !references.contains(episode.query) && episode.abnormal.size() == 2;
      for (const auto picture : episode.normal) {
        good &= category_of(picture) == category && type_of(picture) == 0;
      }
      for (const auto picture : episode.abnormal) {
        good &= category_of(picture) == category && type_of(picture) == type && type != 0;
      }
      if (query_defect == QueryDefect::kSame) {
        good &= type_of(episode.query) == 0 || type_of(episode.query) == type;
      }
      faults += !good;
    });
    EXPECT_EQ(faults, 0) << to_string(query_defect);
  }
}

TEST(EpisodeSampler, DrawsAsOftenAsItSays) {
  constexpr std::int64_t kDraws = 20000;
  const EpisodeSampler sampler(three(), shots({1, 2, 4}, 1), 3);
  std::map<std::int64_t, std::int64_t> categories, types_of_tile, normal_shots;
  std::int64_t good = 0;
  for_each_draw(sampler, kDraws, [&](const Episode& episode) {
    const auto category = category_of(episode.query);
    ++categories[category];
    if (category == 2) ++types_of_tile[type_of(episode.abnormal.front())];
    ++normal_shots[static_cast<std::int64_t>(episode.normal.size())];
    good += type_of(episode.query) == 0;
  });
  expect_share(good, kDraws, 0.5, "good queries");
  ASSERT_EQ(categories.size(), 3U);
  for (const auto& [category, count] : categories) expect_share(count, kDraws, 1.0 / 3, "category");
  ASSERT_EQ(types_of_tile.size(), 3U);
  for (const auto& [type, count] : types_of_tile) {
    expect_share(count, categories[2], 1.0 / 3, "defect type");
  }
  ASSERT_EQ(normal_shots.size(), 3U);
  for (const auto shot : {1, 2, 4}) expect_share(normal_shots[shot], kDraws, 1.0 / 3, "shots");
}

TEST(EpisodeSampler, EveryPictureTakesEveryPart) {
  const EpisodeSampler sampler({three()[0]}, shots({2}, 1), 4);
  std::map<std::int64_t, std::int64_t> queries, references;
  constexpr std::int64_t kDraws = 10000;
  for_each_draw(sampler, kDraws, [&](const Episode& episode) {
    ++queries[episode.query];
    for (const auto i : episode.normal) ++references[i];
    for (const auto i : episode.abnormal) ++references[i];
  });
  for (const auto picture : range(0, 5)) {  // half of the queries are one of five
    expect_share(queries[picture], kDraws, 0.1, "good query");
    expect_share(references[picture], kDraws, 0.4, "normal reference");
  }
  for (const auto picture : range(10, 3)) {
    expect_share(queries[picture], kDraws, 0.5 / 3, "anomalous query");
    expect_share(references[picture], kDraws, 1.0 / 3, "abnormal reference");
  }
}

TEST(EpisodeSampler, AnIndependentQueryShowsAnyDefect) {
  constexpr std::int64_t kDraws = 20000;
  auto options = shots({1}, 1);
  options.query_defect = QueryDefect::kIndependent;
  const EpisodeSampler sampler({three()[2]}, options, 5);
  std::int64_t anomalous = 0, same = 0;
  std::map<std::int64_t, std::int64_t> types;
  for_each_draw(sampler, kDraws, [&](const Episode& episode) {
    const auto type = type_of(episode.query);
    if (type == 0) return;
    ++anomalous;
    ++types[type];
    same += type == type_of(episode.abnormal.front());
  });
  expect_share(anomalous, kDraws, 0.5, "anomalous queries");
  expect_share(same, anomalous, 1.0 / 3, "of the references' type");
  ASSERT_EQ(types.size(), 3U);
  for (const auto& [type, count] : types) expect_share(count, anomalous, 1.0 / 3, "type");
}

TEST(EpisodeSampler, LeavesOutWhatIsTooSmallAndSaysSo) {
  auto categories = three();
  categories[1].good = range(100, 4);  // four references leave no query
  const EpisodeSampler sampler(categories, shots({1, 4}, 3), 1);
  ASSERT_EQ(sampler.categories().size(), 1U);
  EXPECT_EQ(sampler.categories()[0].name, "tile");
  ASSERT_EQ(sampler.categories()[0].defects.size(), 2U);
  EXPECT_EQ(sampler.categories()[0].defects[0].type, "crack");
  EXPECT_EQ(sampler.categories()[0].defects[1].type, "glue");
  const auto& lines = sampler.skipped();
  ASSERT_EQ(lines.size(), 4U);
  EXPECT_EQ(lines[0],
            "category bottle: defect type chip is left out: 3 pictures with a mask, 4 needed");
  EXPECT_EQ(lines[1],
            "category bottle is left out: no defect type with 4 pictures that have a mask");
  EXPECT_EQ(
      lines[2],
      "category cable is left out: 4 good pictures, 5 needed (normal references and a query)");
  EXPECT_EQ(lines[3],
            "category tile: defect type oil is left out: 3 pictures with a mask, 4 needed");
  for_each_draw(sampler, 500, [&](const Episode& episode) {
    EXPECT_EQ(category_of(episode.query), 2);
    EXPECT_LE(type_of(episode.query), 2);
  });
}

TEST(EpisodeSampler, NothingLeftIsAnErrorThatListsWhy) {
  const auto message = message_of<DataError>([] { EpisodeSampler(three(), shots({9}, 10), 1); });
  EXPECT_NE(message.find("category bottle is left out: 5 good pictures, 10 needed"),
            std::string::npos)
      << message;
  EXPECT_NE(message.find("category cable is left out: 9 good pictures"), std::string::npos);
  // The last one has just enough good pictures, but not enough of any defect.
  EXPECT_NE(
      message.find("category tile: defect type glue is left out: 10 pictures with a mask, 11"),
      std::string::npos);
  EXPECT_NE(message.find("category tile is left out: no defect type"), std::string::npos);
  EXPECT_EQ(message_of<DataError>([] { EpisodeSampler({}, shots({1}, 1), 1); }),
            "no category can be trained on: the source is empty");
}

TEST(EpisodeOptions, ChecksItsValues) {
  const auto refused = [](const EpisodeOptions& options, const std::string& because) {
    const auto message = message_of<ConfigError>([&] { options.check(); });
    EXPECT_NE(message.find(because), std::string::npos) << message;
  };
  EXPECT_NO_THROW(EpisodeOptions().check());
  EXPECT_NO_THROW(shots({1, 1024}, 1024).check());
  refused(shots({}, 1), "episodes.normal_shots");
  refused(shots({1, 0}, 1), "episodes.normal_shots");
  refused(shots({1025}, 1), "episodes.normal_shots");
  refused(shots({1}, 0), "episodes.abnormal_shots 0");
  refused(shots({1}, 1025), "episodes.abnormal_shots 1025");
  EXPECT_EQ(shots({2, 4, 1}, 1).most_normal_shots(), 4);
}

TEST(QueryDefect, IsReadByName) {
  QueryDefect value = QueryDefect::kSame;
  parse("independent", value);
  EXPECT_EQ(value, QueryDefect::kIndependent);
  parse(to_string(QueryDefect::kSame), value);
  EXPECT_EQ(value, QueryDefect::kSame);
  EXPECT_THROW(parse("other", value), ConfigError);
}

}  // namespace
}  // namespace nagl
