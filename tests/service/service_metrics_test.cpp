#include "service/service_metrics.h"

#include <gtest/gtest.h>

#include <string>

namespace nagl::service {
namespace {

TEST(ServiceMetrics, CountsAsPrometheusReadsIt) {
  ServiceMetrics metrics({"lid", "part"});
  metrics.answered("part", 200, 0.03);
  metrics.answered("part", 200, 0.2);
  metrics.answered("part", 422, 100);
  metrics.answered("", 404, 0.001);
  metrics.scored("part", 0.25, Verdict::kNormal);
  metrics.scored("part", 0.5, Verdict::kAnomalous);
  metrics.scored("lid", 0.75, Verdict::kUnknown);
  metrics.drifted("part");
  const std::string text = metrics.text(3, {{"backbone", "a \"b\"\\c"}});
  for (const std::string line : {
           R"(nagl_info{backbone="a \"b\"\\c"} 1)",
           "nagl_queue_pictures 3",
           R"(nagl_requests_total{bank="part",code="200"} 2)",
           R"(nagl_requests_total{bank="",code="404"} 1)",
           R"(nagl_request_seconds_bucket{bank="part",le="0.025"} 0)",
           R"(nagl_request_seconds_bucket{bank="part",le="0.05"} 1)",
           R"(nagl_request_seconds_bucket{bank="part",le="0.25"} 2)",
           R"(nagl_request_seconds_bucket{bank="part",le="30"} 2)",
           R"(nagl_request_seconds_bucket{bank="part",le="+Inf"} 3)",
           R"(nagl_request_seconds_count{bank="part"} 3)",
           R"(nagl_request_seconds_sum{bank="part"} 100.23)",
           R"(nagl_request_seconds_count{bank="lid"} 0)",
           R"(nagl_image_score{bank="part",quantile="0.05"} 0.25)",
           R"(nagl_image_score{bank="part",quantile="0.95"} 0.5)",
           R"(nagl_image_score_sum{bank="part"} 0.75)",
           R"(nagl_image_score_count{bank="lid"} 1)",
           R"(nagl_verdicts_total{bank="part",verdict="normal"} 1)",
           R"(nagl_anomalies_total{bank="part"} 1)",
           R"(nagl_anomalies_total{bank="lid"} 0)",
           R"(nagl_drift_total{bank="part"} 1)",
       }) {
    EXPECT_NE(("\n" + text).find("\n" + line + "\n"), std::string::npos) << line << "\nin\n"
                                                                         << text;
  }
  EXPECT_EQ(text.find(R"(verdicts_total{bank="lid")"), std::string::npos);
}

TEST(ServiceMetrics, QuantilesAreOfTheLastPictures) {
  ServiceMetrics metrics({"part"});
  for (std::size_t i = 0; i < ServiceMetrics::kWindow; ++i) {
    metrics.scored("part", 1, Verdict::kUnknown);
  }
  for (std::size_t i = 0; i < ServiceMetrics::kWindow; ++i) {
    metrics.scored("part", 0.125, Verdict::kUnknown);
  }
  const std::string text = metrics.text(0, {});
  EXPECT_NE(text.find(R"(nagl_image_score{bank="part",quantile="1"} 0.125)"), std::string::npos);
  EXPECT_NE(text.find(R"(nagl_image_score_count{bank="part"} 2000)"), std::string::npos);
}

}  // namespace
}  // namespace nagl::service
