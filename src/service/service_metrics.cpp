#include "service_metrics.h"

#include <fmt/format.h>

#include <iterator>
#include <utility>

#include "nagl/core/quantile.h"

namespace nagl::service {
namespace {

/// A label's value, as the format wants it.
std::string quoted(const std::string& text) {
  std::string quoted = "\"";
  for (const char letter : text) {
    if (letter == '\\' || letter == '"') quoted += '\\';
    if (letter == '\n') {
      quoted += "\\n";
    } else {
      quoted += letter;
    }
  }
  return quoted + "\"";
}

void head(std::string& out, const char* name, const char* type, const char* help) {
  fmt::format_to(std::back_inserter(out), "# HELP {} {}\n# TYPE {} {}\n", name, help, name, type);
}

}  // namespace

ServiceMetrics::ServiceMetrics(const std::vector<std::string>& banks) {
  for (const auto& name : banks) banks_[name];
}

void ServiceMetrics::answered(const std::string& bank, int status, double seconds) {
  const std::lock_guard lock(mutex_);
  Counts& counts = banks_[bank];
  ++counts.requests[status];
  std::size_t place = 0;
  while (place < kBounds.size() && seconds > kBounds[place]) ++place;
  ++counts.seconds_by[place];
  counts.seconds += seconds;
}

void ServiceMetrics::scored(const std::string& bank, double image_score, Verdict verdict) {
  const std::lock_guard lock(mutex_);
  Counts& counts = banks_[bank];
  counts.recent.push_back(image_score);
  if (counts.recent.size() > kWindow) counts.recent.pop_front();
  counts.scores += image_score;
  ++counts.pictures;
  if (verdict != Verdict::kUnknown) ++counts.verdicts[verdict];
}

void ServiceMetrics::drifted(const std::string& bank) {
  const std::lock_guard lock(mutex_);
  ++banks_[bank].drifts;
}

std::string ServiceMetrics::text(
    std::size_t waiting, const std::vector<std::pair<std::string, std::string>>& facts) const {
  const std::lock_guard lock(mutex_);
  std::string out;
  const auto line = [&](const char* name, const std::string& labels, auto value) {
    fmt::format_to(std::back_inserter(out), "{}{{{}}} {}\n", name, labels, value);
  };
  const auto label_of = [](const std::string& bank) { return "bank=" + quoted(bank); };

  head(out, "nagl_info", "gauge", "What is serving; always 1.");
  std::string labels;
  for (const auto& [name, value] : facts) {
    labels += fmt::format("{}{}={}", labels.empty() ? "" : ",", name, quoted(value));
  }
  line("nagl_info", labels, 1);
  head(out, "nagl_queue_pictures", "gauge", "Pictures that wait to be scored.");
  fmt::format_to(std::back_inserter(out), "nagl_queue_pictures {}\n", waiting);

  head(out, "nagl_requests_total", "counter", "Requests to score a picture, by HTTP status.");
  for (const auto& [bank, counts] : banks_) {
    for (const auto& [status, count] : counts.requests) {
      line("nagl_requests_total", fmt::format("{},code=\"{}\"", label_of(bank), status), count);
    }
  }
  head(out, "nagl_request_seconds", "histogram",
       "Seconds from a request's first byte to its answer.");
  for (const auto& [bank, counts] : banks_) {
    std::uint64_t sum = 0;
    for (std::size_t i = 0; i <= kBounds.size(); ++i) {
      sum += counts.seconds_by[i];
      const std::string bound = i < kBounds.size() ? fmt::format("{}", kBounds[i]) : "+Inf";
      line("nagl_request_seconds_bucket", fmt::format("{},le=\"{}\"", label_of(bank), bound), sum);
    }
    line("nagl_request_seconds_sum", label_of(bank), counts.seconds);
    line("nagl_request_seconds_count", label_of(bank), sum);
  }
  head(out, "nagl_image_score", "summary", "Image scores; quantiles of the last 1000 pictures.");
  for (const auto& [bank, counts] : banks_) {
    const std::vector<double> recent(counts.recent.begin(), counts.recent.end());
    for (const double share : {0.05, 0.25, 0.5, 0.75, 0.95, 1.0}) {
      if (recent.empty()) break;
      line("nagl_image_score", fmt::format("{},quantile=\"{}\"", label_of(bank), share),
           quantile(recent, share));
    }
    line("nagl_image_score_sum", label_of(bank), counts.scores);
    line("nagl_image_score_count", label_of(bank), counts.pictures);
  }
  head(out, "nagl_verdicts_total", "counter", "Pictures by verdict, of calibrated banks.");
  for (const auto& [bank, counts] : banks_) {
    for (const auto& [verdict, count] : counts.verdicts) {
      line("nagl_verdicts_total",
           fmt::format("{},verdict=\"{}\"", label_of(bank), to_string(verdict)), count);
    }
  }
  head(out, "nagl_anomalies_total", "counter", "Pictures called anomalous.");
  for (const auto& [bank, counts] : banks_) {
    const auto found = counts.verdicts.find(Verdict::kAnomalous);
    line("nagl_anomalies_total", label_of(bank),
         found == counts.verdicts.end() ? std::uint64_t{0} : found->second);
  }
  head(out, "nagl_drift_total", "counter",
       "Times that pictures were no longer what the bank was calibrated with.");
  for (const auto& [bank, counts] : banks_) line("nagl_drift_total", label_of(bank), counts.drifts);
  return out;
}

}  // namespace nagl::service
