#include "nagl/core/image_size.h"

#include "nagl/core/options.h"
#include "support.h"

namespace nagl {
namespace {

using testing::message_of;

ImageSize parsed(const std::string& text) {
  ImageSize size;
  parse(text, size);
  return size;
}

TEST(ImageSize, IsOneSideOrTwo) {
  EXPECT_EQ(parsed("224"), (ImageSize{224, 224}));
  EXPECT_EQ(parsed("224x448"), (ImageSize{224, 448}));
  EXPECT_EQ(parsed("1X16384"), (ImageSize{1, 16384}));
  EXPECT_EQ(to_string(ImageSize{224, 448}), "224x448");
  EXPECT_EQ(to_string(ImageSize()), "448x448");
}

TEST(ImageSize, OtherTextsAreRefused) {
  for (const char* wrong : {"", "x", "448x", "x448", "0", "-1", "16385", "448x0", "448.0", "448 ",
                            "448x448x448", "wide"}) {
    EXPECT_EQ(message_of<ConfigError>([&] { parsed(wrong); }),
              "image size '" + std::string(wrong) + "' is not N or HxW with sides in 1..16384");
  }
}

struct Pictures {
  ImageSize size;
  template <typename Self, typename Visit>
  static void fields(Self& self, Visit&& visit) {
    visit("size", self.size);
  }
};

TEST(ImageSize, IsAnOptionInThreeForms) {
  const auto read = [](const char* text) {
    Pictures pictures;
    option_from_json(pictures, Json::parse(text));
    return pictures.size;
  };
  EXPECT_EQ(read(R"({"size": {"height": 224, "width": 280}})"), (ImageSize{224, 280}));
  EXPECT_EQ(read(R"({"size": {"height": 224}})"), (ImageSize{224, 448}));
  EXPECT_EQ(read(R"({"size": "224x280"})"), (ImageSize{224, 280}));
  EXPECT_EQ(read(R"({"size": "224"})"), (ImageSize{224, 224}));
  EXPECT_EQ(read(R"({"size": 224})"), (ImageSize{224, 224}));
  EXPECT_EQ(option_to_json(Pictures{{224, 280}}).dump(), R"({"size":{"height":224,"width":280}})");
  EXPECT_EQ(message_of<ConfigError>([&] { read(R"({"size": 22.5})"); }),
            "size: image size '22.5' is not N or HxW with sides in 1..16384");
  EXPECT_EQ(message_of<ConfigError>([&] { read(R"({"size": true})"); }),
            "option size: true is not a group of options");
  EXPECT_EQ(message_of<ConfigError>([&] { read(R"({"size": {"depth": 1}})"); }),
            "unknown option size.depth; there are: height, width");
}

}  // namespace
}  // namespace nagl
