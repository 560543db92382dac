#include "nagl/evaluation/results.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <set>
#include <tuple>

#include "nagl/core/error.h"
#include "nagl/core/sha256.h"

namespace nagl {
namespace {

constexpr struct {
  const char* key;
  const char* title;
} kMetricNames[kMetricCount] = {
    {"image_auroc", "image AUROC"},
    {"image_ap", "image AP"},
    {"image_f1_max", "image F1-max"},
    {"pixel_auroc", "pixel AUROC"},
    {"pixel_ap", "pixel AP"},
    {"pixel_f1_max", "pixel F1-max"},
    {"pro", "PRO"},
    {"pixel_f1", "pixel F1"},
    {"sample_auroc", "sample AUROC"},
};

Json to_json(const std::optional<double>& value) { return value ? Json(*value) : Json(nullptr); }

std::optional<double> number_from(const Json& json) {
  return json.is_null() ? std::nullopt : std::optional<double>(json.get<double>());
}

Json to_json(const std::vector<CurvePoint>& curve) {
  Json points = Json::array();
  // Four digits: a curve is looked at.
  const auto rounded = [](double value) { return std::round(value * 1e4) / 1e4; };
  for (const auto& point : curve) {
    points.push_back({rounded(point.false_alarms), rounded(point.hits)});
  }
  return points;
}

std::vector<CurvePoint> curve_from(const Json& json) {
  std::vector<CurvePoint> curve;
  for (const auto& point : json) curve.push_back({point.at(0), point.at(1)});
  return curve;
}

Json to_json(const EvaluationRow& row) {
  Json metrics = Json::object(), reasons = Json::object();
  for (std::size_t i = 0; i < kMetricCount; ++i) {
    metrics[kMetricNames[i].key] = to_json(row.metrics[i].value);
    if (!row.metrics[i].value) reasons[kMetricNames[i].key] = row.metrics[i].reason;
  }
  Json queries = Json::array();
  for (const auto& query : row.queries) {
    queries.push_back({query.path.string(), query.defect, query.anomalous, query.score});
  }
  Json json = {{"category", row.category},
               {"method", to_string(row.method)},
               {"normal_shots", row.normal_shots},
               {"abnormal_shots", row.abnormal_shots},
               {"seed", row.seed},
               {"good", row.good},
               {"anomalous", row.anomalous},
               {"metrics", metrics}};
  if (!reasons.empty()) json["reasons"] = reasons;
  json["image_threshold"] = to_json(row.image_threshold);
  json["pixel_threshold"] = to_json(row.pixel_threshold);
  json["pixel_cut"] = to_json(row.pixel_cut);
  json["image_roc"] = to_json(row.image_roc);
  json["pixel_roc"] = to_json(row.pixel_roc);
  json["pro_curve"] = to_json(row.pro_curve);
  json["queries"] = queries;
  return json;
}

EvaluationRow row_from(const Json& json) {
  EvaluationRow row;
  row.category = json.at("category");
  row.method = parse_as<Method>(json.at("method"));
  row.normal_shots = json.at("normal_shots");
  row.abnormal_shots = json.at("abnormal_shots");
  row.seed = json.at("seed");
  row.good = json.at("good");
  row.anomalous = json.at("anomalous");
  for (std::size_t i = 0; i < kMetricCount; ++i) {
    const char* key = kMetricNames[i].key;
    if (i >= kUsualMetrics && !json.at("metrics").contains(key)) {
      row.metrics[i].reason = "not measured by the version that scored it";
      continue;
    }
    row.metrics[i].value = number_from(json.at("metrics").at(key));
    if (!row.metrics[i].value) row.metrics[i].reason = json.at("reasons").at(key);
  }
  row.image_threshold = number_from(json.at("image_threshold"));
  row.pixel_threshold = number_from(json.at("pixel_threshold"));
  row.pixel_cut = number_from(json.value("pixel_cut", Json(nullptr)));
  row.image_roc = curve_from(json.at("image_roc"));
  row.pixel_roc = curve_from(json.at("pixel_roc"));
  row.pro_curve = curve_from(json.at("pro_curve"));
  for (const auto& query : json.at("queries")) {
    row.queries.push_back({query.at(0).get<std::string>(), query.at(1), query.at(2), query.at(3)});
  }
  return row;
}

ReferenceDraw references_from(const Json& json, const std::filesystem::path& folder) {
  ReferenceDraw references;
  references.category = json.at("category");
  references.seed = json.at("seed");
  references.normal_shots = json.at("normal_shots");
  references.abnormal_shots = json.at("abnormal_shots");
  for (const auto& path : json.at("normal")) {
    references.normal.push_back(folder / path.get<std::string>());
  }
  for (const auto& [type, paths] : json.at("abnormal").items()) {
    for (const auto& path : paths) {
      references.abnormal[type].push_back(folder / path.get<std::string>());
    }
  }
  references.good_query_type = json.value("good_query_type", "");
  return references;
}

Json to_json(const EvaluationTiming& timing) {
  return {{"pictures", timing.pictures}, {"encode", timing.encode}, {"score", timing.score},
          {"measure", timing.measure},   {"wait", timing.wait},     {"total", timing.total}};
}

/// Mean over seeds, and the deviation of the seeds' values.
Spread spread_of(const std::vector<double>& by_seed) {
  Spread spread;
  if (by_seed.empty()) return spread;
  const auto count = static_cast<double>(by_seed.size());
  double sum = 0, squares = 0;
  for (const double value : by_seed) sum += value;
  spread.mean = sum / count;
  for (const double value : by_seed) squares += (value - *spread.mean) * (value - *spread.mean);
  if (by_seed.size() > 1) spread.deviation = std::sqrt(squares / (count - 1));
  return spread;
}

using SettingKey = std::tuple<std::int64_t, std::int64_t, Method>;

SummaryRow summary_of(const std::vector<const EvaluationRow*>& rows, const std::string& category) {
  SummaryRow summary;
  summary.category = category;
  summary.method = rows.front()->method;
  summary.normal_shots = rows.front()->normal_shots;
  summary.abnormal_shots = rows.front()->abnormal_shots;
  for (std::size_t i = 0; i < kMetricCount; ++i) {
    std::map<std::uint64_t, std::pair<double, double>> seeds;  // sum and count over categories
    std::set<std::string> categories;
    for (const auto* row : rows) {
      if (!row->metrics[i].value) continue;
      seeds[row->seed].first += *row->metrics[i].value;
      seeds[row->seed].second += 1;
      categories.insert(row->category);
    }
    std::vector<double> means;
    for (const auto& [seed, sum] : seeds) means.push_back(sum.first / sum.second);
    summary.metrics[i] = spread_of(means);
    summary.metrics[i].categories = static_cast<std::int64_t>(categories.size());
  }
  return summary;
}

}  // namespace

const char* key_of(Metric metric) { return kMetricNames[static_cast<std::size_t>(metric)].key; }
const char* title_of(Metric metric) { return kMetricNames[static_cast<std::size_t>(metric)].title; }

Json to_json(const CategoryResult& result) {
  Json rows = Json::array(), references = Json::array(), examples = Json::array();
  for (const auto& row : result.rows) rows.push_back(to_json(row));
  for (const auto& chosen : result.references) references.push_back(to_json(chosen, result.folder));
  for (const auto& example : result.examples) {
    examples.push_back({{"kind", example.kind},
                        {"path", example.path.string()},
                        {"overlay", example.overlay.string()},
                        {"defect", example.defect},
                        {"score", example.score}});
  }
  return {{"name", result.name},
          {"folder", result.folder.string()},
          {"good", result.good},
          {"anomalous", result.anomalous},
          {"warnings", result.warnings},
          {"timing", to_json(result.timing)},
          {"examples_of", result.examples_of},
          {"examples", examples},
          {"references", references},
          {"rows", rows}};
}

CategoryResult category_result_from_json(const Json& json, const std::filesystem::path& file) {
  CategoryResult result;
  try {
    result.name = json.at("name");
    result.folder = json.at("folder").get<std::string>();
    result.good = json.at("good");
    result.anomalous = json.at("anomalous");
    for (const auto& warning : json.at("warnings")) result.warnings.push_back(warning);
    const Json& timing = json.at("timing");
    result.timing = {timing.at("pictures"), timing.at("encode"), timing.at("score"),
                     timing.at("measure"),  timing.at("wait"),   timing.at("total")};
    result.examples_of = json.at("examples_of");
    for (const auto& item : json.at("examples")) {
      result.examples.push_back({item.at("kind"), item.at("path").get<std::string>(),
                                 item.at("overlay").get<std::string>(), item.at("defect"),
                                 item.at("score")});
    }
    for (const auto& item : json.at("references")) {
      result.references.push_back(references_from(item, result.folder));
    }
    for (const auto& item : json.at("rows")) result.rows.push_back(row_from(item));
  } catch (const Json::exception& error) {
    throw DataError("'" + file.string() + "' is not a category's result: " + error.what() +
                    "; delete it, and the category is scored again");
  }
  return result;
}

std::vector<SummaryRow> summarize(const std::vector<CategoryResult>& results) {
  std::map<SettingKey, std::vector<const EvaluationRow*>> all;
  std::map<std::pair<std::string, SettingKey>, std::vector<const EvaluationRow*>> by_category;
  for (const auto& result : results) {
    for (const auto& row : result.rows) {
      const SettingKey key{row.normal_shots, row.abnormal_shots, row.method};
      all[key].push_back(&row);
      by_category[{result.name, key}].push_back(&row);
    }
  }
  std::vector<SummaryRow> summary;
  for (const auto& [key, rows] : all) summary.push_back(summary_of(rows, ""));
  for (const auto& [key, rows] : by_category) summary.push_back(summary_of(rows, key.first));
  return summary;
}

std::vector<std::size_t> shown_metrics(const std::vector<SummaryRow>& summary) {
  std::vector<std::size_t> shown;
  for (std::size_t i = 0; i < kMetricCount; ++i) {
    const bool known = std::any_of(summary.begin(), summary.end(), [&](const SummaryRow& row) {
      return row.metrics[i].mean.has_value();
    });
    if (i < kUsualMetrics || known) shown.push_back(i);
  }
  return shown;
}

bool is_best(const std::vector<SummaryRow>& summary, const SummaryRow& row, std::size_t metric) {
  if (!row.metrics[metric].mean) return false;
  return std::none_of(summary.begin(), summary.end(), [&](const SummaryRow& other) {
    return other.category == row.category && other.normal_shots == row.normal_shots &&
           other.abnormal_shots == row.abnormal_shots && other.metrics[metric].mean &&
           *other.metrics[metric].mean > *row.metrics[metric].mean;
  });
}

std::string file_name_for(const std::string& text) {
  std::string name = text;
  // Plain ASCII alone: results name these files in JSON, which takes no other bytes as they are.
  std::replace_if(
      name.begin(), name.end(),
      [](char c) { return c < ' ' || c > '~' || c == '/' || c == '\\' || c == '"'; }, '-');
  if (name.empty() || name.front() == '.') name = fmt::format("_{}", name);
  constexpr std::size_t kLongest = 180;  // file systems allow 255 bytes, with an ending
  if (name.size() > kLongest) name.resize(kLongest);
  if (name == text) return name;
  return fmt::format("{}-{}", name, Sha256().update(text).hex().substr(0, 8));
}

std::string shots_text(std::int64_t shots) {
  return shots == kOneOfEach ? "each" : std::to_string(shots);
}

}  // namespace nagl
