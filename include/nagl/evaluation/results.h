#pragma once

#include <array>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "nagl/core/json.h"
#include "nagl/evaluation/protocol.h"
#include "nagl/metrics/ranking_metrics.h"
#include "nagl/model/reference_bank.h"

namespace nagl {

/// What is measured, in the order of tables.
enum class Metric {
  kImageAuroc,
  kImageAp,
  kImageF1Max,
  kPixelAuroc,
  kPixelAp,
  kPixelF1Max,
  kPro,
  /// F1 of the pixels above the threshold that good validation pictures give (`pixel_cut`).
  kPixelF1,
  /// Image AUROC of parts that are seen in several pictures: the highest score of each.
  kSampleAuroc,
};
inline constexpr std::size_t kMetricCount = 9;
/// Of these, the first are in every table; the others where any value is known.
inline constexpr std::size_t kUsualMetrics = 7;

/// `image_auroc` and so on: keys of files.
const char* key_of(Metric metric);
/// `image AUROC` and so on: heads of tables.
const char* title_of(Metric metric);
inline Metric metric_at(std::size_t i) { return static_cast<Metric>(i); }

/// A value in [0, 1], or why there is none.
struct MetricValue {
  std::optional<double> value;
  std::string reason;
};

/// One value a metric.
using Metrics = std::array<MetricValue, kMetricCount>;

/// A picture's image score.
struct ScoredQuery {
  std::filesystem::path path;  ///< relative to the category's folder
  std::string defect;          ///< type, or `good`
  bool anomalous = false;      ///< as the protocol counts it
  double score = 0;
};

/// One method with one set of references on one category.
struct EvaluationRow {
  std::string category;
  Method method = Method::kNormalNn;
  std::int64_t normal_shots = 0, abnormal_shots = 0;
  std::uint64_t seed = 0;
  std::int64_t good = 0, anomalous = 0;  ///< queries
  Metrics metrics;
  std::optional<double> image_threshold, pixel_threshold;  ///< of the F1-max
  /// Mean and three deviations of the pixels of good validation pictures, as MVTec AD 2 has it
  /// (arXiv 2503.21622); null: there are none.
  std::optional<double> pixel_cut;
  std::vector<CurvePoint> image_roc, pixel_roc, pro_curve;
  std::vector<ScoredQuery> queries;
};

/// A picture for a person to judge by.
struct Example {
  std::string
      kind;  ///< `found`, `missed`, `false alarm`, `good`; as the threshold of F1-max has it
  std::filesystem::path path;     ///< relative to the category's folder
  std::filesystem::path overlay;  ///< relative to the evaluation's folder
  std::string defect;
  double score = 0;
};

/// Where the time went, in seconds. Decoding goes on beside the rest.
struct EvaluationTiming {
  std::int64_t pictures = 0;  ///< encoded, references included
  double encode = 0;          ///< backbone
  double score = 0;           ///< methods
  double measure = 0;         ///< maps and metrics
  double wait = 0;            ///< for pictures to be decoded
  double total = 0;
};

/// All that is known of one category once it is scored.
struct CategoryResult {
  std::string name;
  std::filesystem::path folder;
  std::int64_t good = 0, anomalous = 0;  ///< test pictures
  std::vector<EvaluationRow> rows;
  std::vector<ReferenceDraw> references;
  std::vector<Example> examples;
  std::string examples_of;            ///< method, shots and seed that the examples are of
  std::vector<std::string> warnings;  ///< leaks and other reasons for doubt
  EvaluationTiming timing;
};

Json to_json(const CategoryResult& result);
/// @throws DataError naming `file` on anything else than `to_json` makes
CategoryResult category_result_from_json(const Json& json, const std::filesystem::path& file);

/// Mean and standard deviation (of the sample, n - 1) over seeds; of `count` values.
struct Spread {
  std::optional<double> mean;
  std::optional<double> deviation;  ///< nothing for fewer than two seeds
  std::int64_t categories = 0;      ///< that the mean is over
};

/// One method with one number of shots: each metric's mean over categories, and how it varies over
/// seeds.
struct SummaryRow {
  std::string category;  ///< empty: the mean over categories
  Method method = Method::kNormalNn;
  std::int64_t normal_shots = 0, abnormal_shots = 0;
  std::array<Spread, kMetricCount> metrics;
};

/// A row a method and number of shots over all categories; then the same for each category.
/// Categories without a value for a metric are left out of its mean.
std::vector<SummaryRow> summarize(const std::vector<CategoryResult>& results);

/// The metrics that tables show: the usual ones, and those of which any row has a value.
std::vector<std::size_t> shown_metrics(const std::vector<SummaryRow>& summary);

/// Whether a row has the best mean of a metric among those of its category with the same shots.
bool is_best(const std::vector<SummaryRow>& summary, const SummaryRow& row, std::size_t metric);

/// A file name for any text, e.g. a category's name or a relative path: plain ones stay as they
/// are, in others what could lead elsewhere is replaced, and a checksum keeps them apart.
std::string file_name_for(const std::string& text);

/// `4` or `each`.
std::string shots_text(std::int64_t shots);

}  // namespace nagl
