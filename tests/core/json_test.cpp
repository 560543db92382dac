#include "nagl/core/json.h"

#include <chrono>

#include "support.h"

namespace nagl {
namespace {

std::string refusal(const std::string& text) {
  return testing::message_of<Json::exception>([&] { parse_json(text); });
}

std::string nested(int levels) {
  return std::string(static_cast<std::size_t>(levels), '[') +
         std::string(static_cast<std::size_t>(levels), ']');
}

TEST(JsonText, IsReadWithOrWithoutAByteOrderMark) {
  EXPECT_EQ(parse_json("{\"b\": 1, \"a\": [2]}").dump(), "{\"b\":1,\"a\":[2]}");
  EXPECT_EQ(parse_json("\xEF\xBB\xBF{\"a\": 1}\r\n").dump(), "{\"a\":1}");
  EXPECT_EQ(parse_json("// what\n{\"a\": /* 3 */ 4}", /*comments=*/true).dump(), "{\"a\":4}");
  EXPECT_NE(refusal("// what\n{}").find("parse error"), std::string::npos);
  EXPECT_NE(refusal("{\"a\": }").find("parse error"), std::string::npos);
  EXPECT_NE(refusal(std::string("\xFF\xFE{\0", 4)).find("UTF-16"), std::string::npos);
  EXPECT_EQ(try_parse_json("3"), Json(3));
  EXPECT_EQ(try_parse_json("three"), std::nullopt);
}

TEST(JsonText, DepthAndKeysAreBounded) {
  EXPECT_NO_THROW(parse_json(nested(100)));
  EXPECT_NE(refusal(nested(101)).find("nested deeper than 100"), std::string::npos);
  for (const int levels : {100000, 3000000}) {  // the stack would not do
    EXPECT_NE(refusal(nested(levels)).find("nested"), std::string::npos);
    EXPECT_NE(refusal("{\"a\": " + nested(levels) + "}").find("nested"), std::string::npos);
  }
  const auto object = [](int keys) {
    std::string text = "{";
    for (int i = 0; i < keys; ++i) text += (i == 0 ? "\"" : ",\"") + std::to_string(i) + "\":0";
    return text + "}";
  };
  EXPECT_EQ(parse_json(object(20000)).size(), 20000U);
  EXPECT_NE(refusal(object(20001)).find("20000 keys"), std::string::npos);
}

TEST(JsonText, LongListsTakeTheirTimeOnlyOnce) {
  std::string text = "[";
  for (int i = 0; i < 200000; ++i) text += (i == 0 ? "" : ",") + std::string("{\"a\":[1,2]}");
  const auto begin = std::chrono::steady_clock::now();
  EXPECT_EQ(parse_json(text + "]").size(), 200000U);
  const std::chrono::duration<double> passed = std::chrono::steady_clock::now() - begin;
  EXPECT_LT(passed.count(), 20);  // where time grows with the square, it is minutes
}

}  // namespace
}  // namespace nagl
