#include "nagl/evaluation/score_report.h"

#include <opencv2/core.hpp>

#include "support.h"

namespace nagl {
namespace {

ReportPicture picture(const std::string& path, double score) {
  ReportPicture entry;
  entry.path = path;
  entry.score = score;
  return entry;
}

TEST(ScoreReport, OneFileByFallingScoreWithNothingFromOutside) {
  ScoreReport report;
  report.pictures = {picture("low.png", 0.1), picture("high.png", 0.4), picture("mid.png", 0.2)};
  add_jpegs(report.pictures[1], cv::Mat(60, 300, CV_8UC3, cv::Scalar(9, 200, 30)),
            cv::Mat(80, 80, CV_8UC3, cv::Scalar(1, 2, 3)));
  report.pictures.push_back(picture("broken <b>.png", 0));
  report.pictures.back().error = "'broken' is \"empty\" & useless";
  report.pictures[0].label = "good";
  report.pictures[2].label = "scratch";
  report.threshold = 0.3;
  report.trust = {"Trust < 5 %"};
  const std::string html = score_report_html(report);
  const auto at = [&](const std::string& text) { return html.find(text); };
  EXPECT_LT(at("title='high.png'"), at("title='mid.png'"));
  EXPECT_LT(at("title='mid.png'"), at("title='low.png'"));
  EXPECT_LT(at("title='low.png'"), at("broken &lt;b&gt;.png"));
  EXPECT_EQ(at("<b>.png"), std::string::npos);
  EXPECT_NE(at("Trust &lt; 5 %"), std::string::npos);
  EXPECT_NE(at("value='0.300000'"), std::string::npos);
  EXPECT_NE(at("data-bad='0'"), std::string::npos);
  EXPECT_NE(at("data-bad='1'"), std::string::npos);
  EXPECT_NE(at("src='data:image/jpeg;base64,/9j/"), std::string::npos);
  EXPECT_NE(at("data-shown='data:image/jpeg;base64,/9j/"), std::string::npos);
  for (const char* outside : {"http:", "https:", "src='overlays", "<link"}) {
    EXPECT_EQ(at(outside), std::string::npos) << outside;
  }
}

TEST(ScoreReport, OnlyTheHighestScoresKeepTheirOverlays) {
  std::vector<ReportPicture> pictures;
  for (int i = 0; i < 250; ++i) {
    pictures.push_back(picture("p", i / 250.0));
    pictures.back().shown = "jpeg";
    keep_hottest_overlays(pictures);
  }
  int kept = 0;
  for (const auto& entry : pictures) kept += !entry.shown.empty();
  EXPECT_LT(kept, 200);
  EXPECT_GE(kept, 100);
  EXPECT_FALSE(pictures.back().shown.empty());
  EXPECT_TRUE(pictures.front().shown.empty());
}

TEST(ScoreReport, NothingScoredIsAReportToo) {
  ScoreReport report;
  EXPECT_NE(score_report_html(report).find("0 pictures"), std::string::npos);
}

}  // namespace
}  // namespace nagl
