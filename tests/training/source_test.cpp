#include "nagl/training/source.h"

#include <algorithm>
#include <map>
#include <set>

#include "nagl/core/error.h"
#include "support.h"

namespace nagl {
namespace {

using testing::message_of;

using Indices = std::vector<std::int64_t>;

SourcePicture picture(const std::string& category, const std::string& defect) {
  return {category, defect, {}, {}};
}

/// `categories` of 7 good pictures, 5 with a crack and 2 with a stain, one after the other.
std::vector<SourcePicture> some_pictures(std::int64_t categories) {
  std::vector<SourcePicture> pictures;
  for (std::int64_t c = 0; c < categories; ++c) {
    const std::string name = "part" + std::to_string(c);
    for (const auto& [defect, count] :
         {std::pair("", 7), std::pair("stain", 2), std::pair("crack", 5)}) {
      for (int i = 0; i < count; ++i) pictures.push_back(picture(name, defect));
    }
  }
  return pictures;
}

Indices all_of(const std::vector<SourcePicture>& pictures) {
  Indices indices;
  for (std::size_t i = 0; i < pictures.size(); ++i) indices.push_back(static_cast<std::int64_t>(i));
  return indices;
}

std::set<std::string> categories_of(const std::vector<SourcePicture>& pictures,
                                    const Indices& indices) {
  std::set<std::string> names;
  for (const auto i : indices) names.insert(pictures[static_cast<std::size_t>(i)].category);
  return names;
}

/// Nothing is lost and nothing is in both.
void expect_divides(const SourceSplit& split, Indices usable) {
  Indices both = split.training;
  both.insert(both.end(), split.validation.begin(), split.validation.end());
  std::sort(both.begin(), both.end());
  std::sort(usable.begin(), usable.end());
  EXPECT_EQ(both, usable);
  EXPECT_TRUE(std::is_sorted(split.training.begin(), split.training.end()));
}

TEST(GroupPictures, SortsByCategoryAndType) {
  const std::vector<SourcePicture> pictures = {
      picture("nut", "rust"), picture("bolt", ""),     picture("nut", ""), picture("nut", "bent"),
      picture("nut", "rust"), picture("bolt", "rust"), picture("axle", "")};
  const auto groups = group_pictures(pictures, {0, 1, 2, 3, 4, 5});  // the axle is not asked for
  ASSERT_EQ(groups.size(), 2U);
  EXPECT_EQ(groups[0].name, "bolt");
  EXPECT_EQ(groups[0].good, Indices{1});
  ASSERT_EQ(groups[0].defects.size(), 1U);
  EXPECT_EQ(groups[0].defects[0].pictures, Indices{5});
  EXPECT_EQ(groups[1].name, "nut");
  EXPECT_EQ(groups[1].good, Indices{2});
  ASSERT_EQ(groups[1].defects.size(), 2U);
  EXPECT_EQ(groups[1].defects[0].type, "bent");
  EXPECT_EQ(groups[1].defects[0].pictures, Indices{3});
  EXPECT_EQ(groups[1].defects[1].type, "rust");
  EXPECT_EQ(groups[1].defects[1].pictures, (Indices{0, 4}));
}

TEST(SplitSource, HoldsACategoryOut) {
  const auto pictures = some_pictures(4);
  std::set<std::string> chosen;
  for (std::uint64_t seed = 0; seed < 40; ++seed) {
    const auto split = split_source(pictures, all_of(pictures), HoldOut::kCategory, "", seed);
    expect_divides(split, all_of(pictures));
    const auto held_out = categories_of(pictures, split.validation);
    ASSERT_EQ(held_out.size(), 1U);
    EXPECT_EQ(categories_of(pictures, split.training).size(), 3U);
    EXPECT_EQ(split.description, "category " + *held_out.begin() + " is held out (14 pictures)");
    chosen.insert(*held_out.begin());
    const auto again = split_source(pictures, all_of(pictures), HoldOut::kCategory, "", seed);
    EXPECT_EQ(again.validation, split.validation);
  }
  EXPECT_EQ(chosen.size(), 4U);  // any of them, as the seed has it
  const auto named = split_source(pictures, all_of(pictures), HoldOut::kCategory, "part2", 0);
  EXPECT_EQ(categories_of(pictures, named.validation), std::set<std::string>{"part2"});
}

TEST(SplitSource, HoldsAThirdOfThePicturesOut) {
  const auto pictures = some_pictures(2);
  std::set<Indices> different;
  for (std::uint64_t seed = 0; seed < 10; ++seed) {
    const auto split = split_source(pictures, all_of(pictures), HoldOut::kPictures, "", seed);
    expect_divides(split, all_of(pictures));
    // A third, rounded down, of 7 good pictures, of 5 cracks and of 2 stains.
    std::map<std::pair<std::string, std::string>, int> counts;
    for (const auto i : split.validation) {
      const auto& held_out = pictures[static_cast<std::size_t>(i)];
      ++counts[{held_out.category, held_out.defect}];
    }
    const std::map<std::pair<std::string, std::string>, int> expected = {
        {{"part0", ""}, 2}, {{"part0", "crack"}, 1}, {{"part1", ""}, 2}, {{"part1", "crack"}, 1}};
    EXPECT_EQ(counts, expected);
    EXPECT_NE(split.description.find("(6 of 28)"), std::string::npos) << split.description;
    EXPECT_EQ(split_source(pictures, all_of(pictures), HoldOut::kPictures, "", seed).validation,
              split.validation);
    different.insert(split.validation);
  }
  EXPECT_GT(different.size(), 5U);
}

TEST(SplitSource, DividesOnlyWhatIsUsable) {
  const auto pictures = some_pictures(3);
  Indices usable;
  for (const auto i : all_of(pictures)) {
    if (i % 2 == 0) usable.push_back(i);
  }
  for (const auto hold_out : {HoldOut::kCategory, HoldOut::kPictures, HoldOut::kNone}) {
    expect_divides(split_source(pictures, usable, hold_out, "", 3), usable);
  }
}

TEST(SplitSource, AutoTakesACategoryOfThreeOrMore) {
  const auto three = some_pictures(3), two = some_pictures(2);
  const auto of_three = split_source(three, all_of(three), HoldOut::kAuto, "", 1);
  EXPECT_EQ(of_three.validation,
            split_source(three, all_of(three), HoldOut::kCategory, "", 1).validation);
  const auto of_two = split_source(two, all_of(two), HoldOut::kAuto, "", 1);
  EXPECT_EQ(of_two.validation,
            split_source(two, all_of(two), HoldOut::kPictures, "", 1).validation);
  // A name asks for a category, even of two.
  const auto named = split_source(two, all_of(two), HoldOut::kAuto, "part1", 1);
  EXPECT_EQ(categories_of(two, named.validation), std::set<std::string>{"part1"});
}

TEST(SplitSource, HoldsNothingOut) {
  const auto pictures = some_pictures(3);
  const auto split = split_source(pictures, all_of(pictures), HoldOut::kNone, "", 1);
  EXPECT_EQ(split.training, all_of(pictures));
  EXPECT_TRUE(split.validation.empty());
}

TEST(SplitSource, RefusesACategoryThatCannotBeHeldOut) {
  const auto one = some_pictures(1), two = some_pictures(2);
  const auto message = message_of<ConfigError>(
      [&] { split_source(two, all_of(two), HoldOut::kCategory, "part7", 1); });
  EXPECT_NE(message.find("'part7'"), std::string::npos) << message;
  EXPECT_THROW(split_source(one, all_of(one), HoldOut::kCategory, "", 1), ConfigError);
  EXPECT_THROW(split_source(one, all_of(one), HoldOut::kAuto, "part0", 1), ConfigError);
}

TEST(HoldOut, IsReadByName) {
  for (const auto value :
       {HoldOut::kAuto, HoldOut::kCategory, HoldOut::kPictures, HoldOut::kNone}) {
    HoldOut read = value == HoldOut::kNone ? HoldOut::kAuto : HoldOut::kNone;
    parse(to_string(value), read);
    EXPECT_EQ(read, value);
  }
  HoldOut unchanged = HoldOut::kAuto;
  EXPECT_THROW(parse("all", unchanged), ConfigError);
}

}  // namespace
}  // namespace nagl
