#include "nagl/core/enum_names.h"

#include "nagl/core/options.h"
#include "support.h"

namespace nagl {
namespace {

using testing::message_of;

enum class Fruit { kApple, kPear, kPlum };
constexpr auto names_of(Fruit) {
  return EnumNames<Fruit, 3>{
      "fruit", {{{Fruit::kApple, "apple"}, {Fruit::kPear, "pear"}, {Fruit::kPlum, "plum"}}}};
}
enum class Nameless { kOne };
static_assert(NamedEnum<Fruit> && !NamedEnum<Nameless> && !NamedEnum<int>);

struct Basket {
  Fruit fruit = Fruit::kApple;
  std::vector<Fruit> others;
  template <typename Self, typename Visit>
  static void fields(Self& self, Visit&& visit) {
    visit("fruit", self.fruit);
    visit("others", self.others);
  }
};

TEST(EnumNames, GoBothWays) {
  for (const auto fruit : {Fruit::kApple, Fruit::kPear, Fruit::kPlum}) {
    EXPECT_EQ(parse_as<Fruit>(to_string(fruit)), fruit);
  }
  EXPECT_EQ(to_string(Fruit::kPear), "pear");
  EXPECT_EQ(listed_names<Fruit>(), "apple, pear, plum");
  EXPECT_THROW(to_string(static_cast<Fruit>(7)), std::invalid_argument);
}

TEST(EnumNames, OtherNamesAreRefusedAndLeaveTheValue) {
  Fruit fruit = Fruit::kPlum;
  for (const char* wrong : {"", "Apple", "app", "apples", "apple "}) {
    EXPECT_EQ(message_of<ConfigError>([&] { parse(wrong, fruit); }),
              "fruit '" + std::string(wrong) + "' is not one of apple, pear, plum");
  }
  EXPECT_EQ(fruit, Fruit::kPlum);
}

TEST(EnumNames, MakeOptions) {
  Basket basket;
  option_from_json(basket, Json::parse(R"({"fruit": "plum", "others": ["pear", "apple"]})"));
  EXPECT_EQ(basket.fruit, Fruit::kPlum);
  EXPECT_EQ(option_to_json(basket).dump(), R"({"fruit":"plum","others":["pear","apple"]})");
  EXPECT_EQ(message_of<ConfigError>(
                [&] { option_from_json(basket, Json::parse(R"({"fruit": "nut"})")); }),
            "fruit: fruit 'nut' is not one of apple, pear, plum");
}

}  // namespace
}  // namespace nagl
