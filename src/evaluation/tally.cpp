#include "tally.h"

#include <algorithm>
#include <cmath>
#include <opencv2/core.hpp>
#include <optional>
#include <utility>

#include "nagl/metrics/ranking_metrics.h"

namespace nagl {
namespace {

constexpr std::size_t kCurvePoints = 200;

void set(EvaluationRow& row, Metric metric, std::optional<double> value,
         const std::string& reason) {
  row.metrics[static_cast<std::size_t>(metric)] = {value, value ? "" : reason};
}

}  // namespace

void Tally::add(const ReadQuery& query, const std::filesystem::path& name,
                const PictureScores& scores) {
  queries_.push_back({name, query.sample->defect, query.anomalous, scores.image_score()});
  if (const std::string& part = query.sample->part; !part.empty()) {
    Part& whole = parts_[part];
    whole.score =
        whole.pictures++ == 0 ? scores.image_score() : std::max(whole.score, scores.image_score());
    whole.anomalous = whole.anomalous || query.anomalous;
  }
  if (!query.truth) return;
  const cv::Mat map = scores.map();
  pixels_.add({map.ptr<float>(), map.total()}, *query.truth);
  if (query.truth->count() > 0) ++masked_pictures_;
}

void Tally::add_validation(const PictureScores& scores) {
  const cv::Mat map = scores.map();
  cv::Scalar mean, deviation;
  cv::meanStdDev(map, mean, deviation);
  const auto count = static_cast<double>(map.total());
  pixels_counted_ += count;
  sum_ += count * mean[0];
  squares_ += count * (deviation[0] * deviation[0] + mean[0] * mean[0]);
}

std::optional<double> Tally::pixel_cut() const {
  if (pixels_counted_ == 0) return std::nullopt;
  const double mean = sum_ / pixels_counted_;
  return mean + 3 * std::sqrt(std::max(0.0, squares_ / pixels_counted_ - mean * mean));
}

void Tally::measure(EvaluationRow& row, double pro_limit) {
  row.queries = std::move(queries_);
  std::vector<double> scores;
  std::vector<std::uint8_t> labels;
  for (const auto& query : row.queries) {
    scores.push_back(query.score);
    labels.push_back(query.anomalous);
    ++(query.anomalous ? row.anomalous : row.good);
  }
  const std::string one_class = row.anomalous == 0 ? "no anomalous query"
                                : row.good == 0    ? "no good query"
                                                   : "";
  const auto image_f1 = best_f1(scores, labels);
  set(row, Metric::kImageAuroc, auroc(scores, labels), one_class);
  set(row, Metric::kImageAp, average_precision(scores, labels), one_class);
  set(row, Metric::kImageF1Max, image_f1 ? std::optional(image_f1->f1) : std::nullopt, one_class);
  row.image_roc = thin_curve(roc_curve(scores, labels), kCurvePoints);
  if (image_f1) row.image_threshold = image_f1->threshold;

  const std::string no_pixels = row.anomalous == 0      ? "no anomalous query"
                                : masked_pictures_ == 0 ? "no query has a mask"
                                                        : "no normal pixel";
  const auto pixel_f1 = pixels_.best_f1();
  set(row, Metric::kPixelAuroc, pixels_.auroc(), no_pixels);
  set(row, Metric::kPixelAp, pixels_.average_precision(), no_pixels);
  set(row, Metric::kPixelF1Max, pixel_f1 ? std::optional(pixel_f1->f1) : std::nullopt, no_pixels);
  set(row, Metric::kPro, pixels_.pro(pro_limit), no_pixels);
  row.pixel_cut = pixel_cut();
  set(row, Metric::kPixelF1, row.pixel_cut ? pixels_.f1_above(*row.pixel_cut) : std::nullopt,
      row.pixel_cut ? no_pixels : "no validation pictures to choose a threshold by");
  measure_parts(row);
  row.pixel_roc = pixels_.roc_curve(kCurvePoints);
  row.pro_curve = pixels_.pro_curve(kCurvePoints);
  if (pixel_f1) row.pixel_threshold = pixel_f1->threshold;
  pixels_ = PixelMetrics();  // its histograms
}

void Tally::measure_parts(EvaluationRow& row) const {
  std::vector<double> scores;
  std::vector<std::uint8_t> labels;
  bool several = false;
  for (const auto& [name, part] : parts_) {
    scores.push_back(part.score);
    labels.push_back(part.anomalous);
    several = several || part.pictures > 1;
  }
  if (!several) {
    set(row, Metric::kSampleAuroc, std::nullopt, "no part is seen in several pictures");
  } else {
    set(row, Metric::kSampleAuroc, auroc(scores, labels), "no good part, or no anomalous one");
  }
}

}  // namespace nagl
