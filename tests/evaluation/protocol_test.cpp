#include "nagl/evaluation/protocol.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <set>

#include "nagl/core/error.h"
#include "support.h"

namespace nagl {
namespace {

namespace fs = std::filesystem;
using testing::message_of;
using testing::spill;
using testing::TemporaryFolder;

/// 6 good pictures to refer to; 3 good ones, 3 cuts and 4 holes to test on.
Category category_with_types() {
  Category category;
  category.name = "nut";
  category.folder = "/d/nut";
  const auto add = [&](std::vector<Sample>& samples, const std::string& place, int count,
                       const std::string& type) {
    for (int i = 0; i < count; ++i) {
      const fs::path path = category.folder / place / (std::to_string(i) + ".png");
      samples.push_back({path, type, {}});
      if (type != kGood) samples.back().masks = {category.folder / "mask" / path.filename()};
    }
  };
  add(category.train, "train/good", 6, kGood);
  add(category.test, "test/cut", 3, "cut");
  add(category.test, "test/good", 3, kGood);
  add(category.test, "test/hole", 4, "hole");
  return category;
}

bool all_usable(const Sample&) { return true; }

ReferenceDraw draw(const Category& category, Protocol protocol, std::uint64_t seed,
                   std::int64_t normal_shots, std::int64_t abnormal_shots) {
  return draw_references(category, protocol, seed, normal_shots, abnormal_shots, all_usable);
}

std::size_t abnormal_count(const ReferenceDraw& references) {
  std::size_t count = 0;
  for (const auto& [type, paths] : references.abnormal) count += paths.size();
  return count;
}

std::set<fs::path> paths_of(const std::vector<PlannedQuery>& queries) {
  std::set<fs::path> paths;
  for (const auto& query : queries) paths.insert(query.sample->path);
  return paths;
}

TEST(Protocol, PublishedTakesSlicesAndAsksEverybody) {
  const Category category = category_with_types();
  const auto first = draw(category, Protocol::kPublished, 0, 4, 1);
  EXPECT_EQ(first.normal.size(), 4U);
  EXPECT_EQ(first.normal[0], "/d/nut/train/good/0.png");
  const auto second = draw(category, Protocol::kPublished, 1, 4, 1);
  EXPECT_EQ(second.normal, (std::vector<fs::path>{"/d/nut/train/good/4.png",
                                                  "/d/nut/train/good/5.png"}));  // what is left
  EXPECT_EQ(second.abnormal.at("cut"), std::vector<fs::path>{"/d/nut/test/cut/1.png"});
  EXPECT_EQ(second.abnormal.at("hole"), std::vector<fs::path>{"/d/nut/test/hole/1.png"});
  EXPECT_TRUE(second.abnormal.contains(second.good_query_type));

  const auto queries = plan_queries(category, Protocol::kPublished, second);
  EXPECT_EQ(queries.size(), category.test.size());  // references too
  for (const auto& query : queries) {
    EXPECT_EQ(query.type,
              query.sample->anomalous() ? query.sample->defect : second.good_query_type);
  }
  EXPECT_NE(
      message_of<DataError>([&] { draw(category, Protocol::kPublished, 2, 4, 1); }).find("seed 2"),
      std::string::npos);
  EXPECT_NE(
      message_of<DataError>([&] { draw(category, Protocol::kPublished, 3, 1, 1); }).find("cut"),
      std::string::npos);
}

TEST(Protocol, StrictDrawsAndNeverScoresWhatItDrew) {
  const Category category = category_with_types();
  for (const Protocol protocol : {Protocol::kStrict, Protocol::kUnseen}) {
    std::set<std::vector<fs::path>> choices;
    for (std::uint64_t seed = 0; seed < 20; ++seed) {
      const auto references = draw(category, protocol, seed, 2, 1);
      EXPECT_EQ(references.normal.size(), 2U);
      EXPECT_EQ(abnormal_count(references), 1U);
      EXPECT_EQ(draw(category, protocol, seed, 2, 1).abnormal, references.abnormal);
      const auto& [type, abnormal] = *references.abnormal.begin();
      choices.insert(abnormal);
      const auto queries = plan_queries(category, protocol, references);
      EXPECT_FALSE(paths_of(queries).contains(abnormal[0]));
      for (const auto& query : queries) {
        EXPECT_EQ(query.type, "");  // all are shown the same
        EXPECT_FALSE(protocol == Protocol::kUnseen && query.sample->defect == type);
      }
      const std::size_t own = type == "cut" ? 3 : 4;
      EXPECT_EQ(queries.size(), protocol == Protocol::kUnseen ? 10 - own : 9U);
      // Fewer shots are a part of more, so that they compare.
      const auto more = draw(category, protocol, seed, 4, 1);
      EXPECT_TRUE(
          std::equal(references.normal.begin(), references.normal.end(), more.normal.begin()));
      EXPECT_EQ(more.abnormal, references.abnormal);
    }
    EXPECT_GT(choices.size(), 3U);
  }
}

TEST(Protocol, SeveralTypesTakeTurns) {
  const Category category = category_with_types();
  const auto each = draw(category, Protocol::kStrict, 0, 1, kOneOfEach);
  EXPECT_EQ(each.abnormal.at("cut").size(), 1U);
  EXPECT_EQ(each.abnormal.at("hole").size(), 1U);
  const auto five = draw(category, Protocol::kStrict, 0, 1, 5);
  EXPECT_EQ(five.abnormal.at("cut").size() + five.abnormal.at("hole").size(), 5U);
  EXPECT_GE(five.abnormal.at("cut").size(), 2U);
  EXPECT_EQ(plan_queries(category, Protocol::kUnseen, each).size(), 3U);  // the good ones
  EXPECT_THROW(draw(category, Protocol::kStrict, 0, 1, 8), DataError);
  EXPECT_THROW(draw(category, Protocol::kStrict, 0, 7, 1), DataError);
  EXPECT_FALSE(draw(category, Protocol::kStrict, 0, 1, 0).has_abnormal());
}

TEST(Protocol, AnotherIsDrawnWhereAMaskMarksNothing) {
  const Category category = category_with_types();
  const auto cuts_only = [](const Sample& sample) { return sample.defect == "cut"; };
  for (std::uint64_t seed = 0; seed < 8; ++seed) {
    const auto references = draw_references(category, Protocol::kStrict, seed, 1, 1, cuts_only);
    EXPECT_TRUE(references.abnormal.contains("cut")) << seed;
  }
  const auto none =
      draw_references(category, Protocol::kStrict, 0, 1, 1, [](const Sample&) { return false; });
  EXPECT_FALSE(none.has_abnormal());
  EXPECT_NE(none.lacking, "");
}

TEST(Protocol, WithoutATrainingSplitGoodTestPicturesServe) {
  Category category = category_with_types();
  category.train.clear();
  const auto references = draw(category, Protocol::kStrict, 0, 2, 1);
  const auto queries = paths_of(plan_queries(category, Protocol::kStrict, references));
  for (const auto& path : references.normal) {
    EXPECT_TRUE(path.string().starts_with("/d/nut/test/good")) << path;
    EXPECT_FALSE(queries.contains(path));
  }
  EXPECT_THROW(draw(category, Protocol::kStrict, 0, 3, 1), DataError);  // none left to ask
  for (auto& sample : category.test) sample.masks.clear();
  EXPECT_NE(draw(category, Protocol::kStrict, 0, 1, 1).lacking, "");
  EXPECT_NE(draw(category, Protocol::kPublished, 0, 1, 1).lacking, "");
}

TEST(Protocol, AListOfReferencesIsReadBack) {
  const TemporaryFolder folder;
  const Category category = category_with_types();
  const auto strict = draw(category, Protocol::kStrict, 1, 2, 2);
  const auto published = draw(category, Protocol::kPublished, 0, 2, 1);
  spill(
      folder / "results.json",
      Json{{"references", {to_json(strict, category.folder), to_json(published, category.folder)}}}
          .dump());
  const RecordedDraws list(folder / "results.json");
  const auto again = list.find(category, 1, 2, 2);
  EXPECT_EQ(again.normal, strict.normal);
  EXPECT_EQ(again.abnormal, strict.abnormal);
  EXPECT_EQ(list.find(category, 0, 2, 1).good_query_type, published.good_query_type);
  EXPECT_NE(message_of<DataError>([&] { list.find(category, 7, 2, 2); }).find("seed 7"),
            std::string::npos);
  Category moved = category;
  moved.folder = "/elsewhere/nut";
  EXPECT_NE(message_of<DataError>([&] { list.find(moved, 1, 2, 2); }).find("/elsewhere"),
            std::string::npos);
  // Neither a good picture as a defect, nor a defect as good, nor a type without references.
  const auto refuse = [&](const char* key, const Json& value) {
    Json changed = to_json(published, category.folder);
    changed[key] = value;
    spill(folder / "bad.json", Json::array({changed}).dump());
    EXPECT_THROW(RecordedDraws(folder / "bad.json").find(category, 0, 2, 1), DataError) << value;
  };
  refuse("normal", Json::array({"test/cut/0.png"}));
  refuse("abnormal", Json::object({{"cut", Json::array({"test/good/0.png"})}}));
  refuse("good_query_type", "dent");
  spill(folder / "bad.json", "{\"references\": 3}");
  EXPECT_THROW(RecordedDraws(folder / "bad.json"), DataError);
  spill(folder / "bad.json", "[{\"category\": \"nut\"}]");
  EXPECT_THROW(RecordedDraws(folder / "bad.json").find(category, 0, 1, 1), DataError);
  EXPECT_THROW(RecordedDraws(folder / "absent.json"), DataError);
}

TEST(Protocol, Names) {
  Protocol protocol = Protocol::kStrict;
  for (const char* name : {"strict", "published", "unseen"}) {
    parse(name, protocol);
    EXPECT_EQ(to_string(protocol), name);
    EXPECT_FALSE(describe(protocol).empty());
  }
  EXPECT_THROW(parse("fair", protocol), ConfigError);
}

TEST(Protocol, OtherViewsOfAReferencesPartAreNotAsked) {
  Category category = category_with_types();
  // Holes 0 and 1 are two views of one nut, 2 and 3 of another.
  for (auto& sample : category.test) {
    if (sample.defect != "hole") continue;
    sample.part = sample.path.stem() < "2" ? "first" : "second";
  }
  auto references = draw(category, Protocol::kStrict, 0, 1, 1);
  references.abnormal = {{"hole", {"/d/nut/test/hole/1.png"}}};
  const auto asked = paths_of(plan_queries(category, Protocol::kStrict, references));
  EXPECT_EQ(asked.size(), 8U);
  EXPECT_FALSE(asked.contains("/d/nut/test/hole/0.png"));
  EXPECT_TRUE(asked.contains("/d/nut/test/hole/2.png"));
  // The published code asks everybody.
  EXPECT_EQ(plan_queries(category, Protocol::kPublished, references).size(), 10U);
}

}  // namespace
}  // namespace nagl
