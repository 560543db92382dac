#include "nagl/core/options.h"

#include "support.h"

namespace nagl {
namespace {

using testing::message_of;

enum class Colour { kRed, kBlue };
void parse(const std::string& name, Colour& colour) {
  if (name != "red" && name != "blue") throw ConfigError("'" + name + "' is not one of red, blue");
  colour = name == "red" ? Colour::kRed : Colour::kBlue;
}
std::string to_string(Colour colour) { return colour == Colour::kRed ? "red" : "blue"; }

struct Wheel {
  double radius = 0.5;
  std::vector<std::int64_t> bolts = {4, 5};
  template <typename Self, typename Visit>
  static void fields(Self& self, Visit&& visit) {
    visit("radius", self.radius);
    visit("bolts", self.bolts);
  }
};

struct Car {
  std::int64_t doors = 4;
  std::uint64_t seed = 0;
  bool electric = false;
  std::string name = "plain";
  std::optional<std::int64_t> year;
  Colour colour = Colour::kRed;
  Wheel wheel;
  template <typename Self, typename Visit>
  static void fields(Self& self, Visit&& visit) {
    visit("doors", self.doors);
    visit("seed", self.seed);
    visit("electric", self.electric);
    visit("name", self.name);
    visit("year", self.year);
    visit("colour", self.colour);
    visit("wheel", self.wheel);
  }
};

TEST(Options, GoToJsonAndBack) {
  Car car;
  car.year = 1999;
  car.colour = Colour::kBlue;
  car.wheel.bolts = {6};
  const Json json = option_to_json(car);
  EXPECT_EQ(json.dump(),
            R"({"doors":4,"seed":0,"electric":false,"name":"plain","year":1999,"colour":"blue",)"
            R"("wheel":{"radius":0.5,"bolts":[6]}})");
  Car back;
  option_from_json(back, json);
  EXPECT_EQ(option_to_json(back), json);
}

TEST(Options, WhatIsNotNamedStays) {
  Car car;
  option_from_json(car, Json::parse(R"({"wheel": {"radius": 2}, "year": 5})"));
  EXPECT_EQ(car.wheel.radius, 2);
  EXPECT_EQ(car.wheel.bolts.size(), 2U);
  EXPECT_EQ(car.year, 5);
  option_from_json(car, Json::parse(R"({"year": null})"));
  EXPECT_FALSE(car.year.has_value());
}

TEST(Options, UnknownKeysAndWrongKindsAreNamed) {
  const auto message = [](const char* text) {
    return message_of<ConfigError>([&] {
      Car car;
      option_from_json(car, Json::parse(text));
    });
  };
  EXPECT_EQ(message(R"({"wheel": {"radios": 2}})"),
            "unknown option wheel.radios; there are: radius, bolts");
  EXPECT_EQ(message(R"({"doors": "four"})"), "option doors: \"four\" is not a whole number");
  EXPECT_EQ(message(R"({"doors": 1.5})"), "option doors: 1.5 is not a whole number");
  EXPECT_EQ(message(R"({"doors": 18446744073709551615})"),
            "option doors: 18446744073709551615 is not in "
            "-9223372036854775808..9223372036854775807");
  EXPECT_EQ(message(R"({"seed": -1})"), "option seed: -1 is not in 0..18446744073709551615");
  EXPECT_EQ(message(R"({"electric": 1})"), "option electric: 1 is not true or false");
  EXPECT_EQ(message(R"({"colour": "green"})"), "colour: 'green' is not one of red, blue");
  EXPECT_EQ(message(R"({"wheel": 3})"), "option wheel: 3 is not a group of options");
  EXPECT_EQ(message(R"({"wheel": {"bolts": [1, "a"]}})"),
            "option wheel.bolts: \"a\" is not a whole number");
  EXPECT_EQ(message("[]"), "option file: [] is not a group of options");
}

TEST(Options, AreSetByAssignments) {
  Car car;
  for (const char* text : {"wheel.radius=1e-3", "name=fast=1", "electric=true", "wheel.bolts=[1,2]",
                           "colour=blue", "year=null"}) {
    option_from_json(car, parse_assignment(text));
  }
  EXPECT_EQ(car.wheel.radius, 1e-3);
  EXPECT_EQ(car.name, "fast=1");
  EXPECT_TRUE(car.electric);
  EXPECT_EQ(car.wheel.bolts, (std::vector<std::int64_t>{1, 2}));
  EXPECT_EQ(car.colour, Colour::kBlue);
  for (const char* text : {"doors", "=3", ".doors=3", "wheel..radius=1"}) {
    EXPECT_THROW(parse_assignment(text), ConfigError) << text;
  }
}

TEST(Options, ConfigFilesMayHoldComments) {
  const testing::TemporaryFolder folder;
  testing::spill(folder / "a.json", "{\n  // why\n  \"doors\": 2\n}");
  EXPECT_EQ(read_config(folder / "a.json")["doors"], 2);
  testing::spill(folder / "b.json", "{\"doors\": ");
  EXPECT_NE(message_of<ConfigError>([&] { read_config(folder / "b.json"); }).find("b.json"),
            std::string::npos);
  EXPECT_NE(message_of<ConfigError>([&] { read_config(folder / "c.json"); }).find("c.json"),
            std::string::npos);
}

TEST(Options, DifferencesAreNamed) {
  Car a, b;
  b.doors = 2;
  b.wheel.radius = 1;
  b.year = 3;
  EXPECT_EQ(differing_options(option_to_json(a), option_to_json(b)),
            (std::vector<std::string>{"doors", "year", "wheel.radius"}));
  EXPECT_TRUE(differing_options(option_to_json(a), option_to_json(a)).empty());
}

}  // namespace
}  // namespace nagl
