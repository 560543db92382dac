#include "nagl/core/text.h"

#include "support.h"

namespace nagl {
namespace {

TEST(Text, WholeNumbersAreTheWholeText) {
  EXPECT_EQ(whole_number("0"), 0);
  EXPECT_EQ(whole_number("-17"), -17);
  EXPECT_EQ(whole_number("007"), 7);
  EXPECT_EQ(whole_number("9223372036854775807"), INT64_MAX);
  EXPECT_EQ(whole_number(std::string_view("123").substr(0, 2)), 12);
  for (const char* wrong :
       {"", "-", "+1", " 1", "1 ", "1.0", "1e3", "0x10", "one", "9223372036854775808"}) {
    EXPECT_FALSE(whole_number(wrong)) << wrong;
  }
}

TEST(Text, LowerCaseIsOfAsciiLetters) {
  EXPECT_EQ(lower_case("Image_01.PNG"), "image_01.png");
  EXPECT_EQ(lower_case("\xC3\x9C"), "\xC3\x9C");  // an umlaut in UTF-8 stays whole
  EXPECT_EQ(lower_case(""), "");
}

}  // namespace
}  // namespace nagl
