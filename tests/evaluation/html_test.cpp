#include "evaluation/html.h"

#include "nagl/evaluation/report.h"
#include "nagl/evaluation/score_report.h"
#include "support.h"

namespace nagl {
namespace {

using testing::slurp;

TEST(Html, TextIsEscaped) {
  EXPECT_EQ(escaped("a<b> & \"c\" 'd'"), "a&lt;b&gt; &amp; &quot;c&quot; &#39;d&#39;");
  EXPECT_EQ(escaped("ä"), "ä");
}

TEST(Html, Base64OfAnyLength) {
  EXPECT_EQ(base64(""), "");
  EXPECT_EQ(base64("M"), "TQ==");
  EXPECT_EQ(base64("Ma"), "TWE=");
  EXPECT_EQ(base64("Man"), "TWFu");
  EXPECT_EQ(base64(std::string("\0\xff\xfe\x80", 4)), "AP/+gA==");
}

TEST(Html, ReportsHoldTheirAssetsAsTheyAre) {
  const std::filesystem::path assets =
      std::filesystem::path(NAGL_SOURCE_DIR) / "src/evaluation/assets";
  const std::string scores = score_report_html({});
  EXPECT_NE(scores.find("<style>\n" + slurp(assets / "score_report.css") + "</style>"),
            std::string::npos);
  EXPECT_NE(scores.find("<script>\n" + slurp(assets / "score_report.js") + "</script>"),
            std::string::npos);
  const std::string evaluation = html_report({}, {}, {});
  EXPECT_NE(evaluation.find("<style>\n" + slurp(assets / "evaluation_report.css") + "</style>"),
            std::string::npos);
}

}  // namespace
}  // namespace nagl
