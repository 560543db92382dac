#include <fmt/format.h>

#include <algorithm>

#include "nagl/core/csv.h"
#include "nagl/evaluation/report.h"

namespace nagl {
namespace {

std::string percent(const Spread& spread, const char* plus_minus, const char* absent) {
  if (!spread.mean) return absent;
  std::string text = fmt::format("{:.1f}", 100 * *spread.mean);
  if (spread.deviation) text += fmt::format("{}{:.1f}", plus_minus, 100 * *spread.deviation);
  return text;
}

bool is_mean(const SummaryRow& row) { return row.category.empty(); }

std::string latex_escaped(const std::string& text) {
  std::string escaped;
  for (const char c : text) {
    if (c == '_' || c == '%' || c == '&' || c == '#' || c == '$') escaped += '\\';
    escaped += c;
  }
  return escaped;
}

std::string markdown_escaped(const std::string& text) {
  std::string escaped;
  for (const char c : text) {
    if (c == '|') escaped += '\\';
    escaped += c;
  }
  return escaped;
}

std::string markdown_table(const std::vector<SummaryRow>& summary, const std::string& category) {
  const auto shown = shown_metrics(summary);
  std::string text = "| method | K1 | K2 |", rule = "|---|---|---|";
  for (const auto i : shown) {
    text += fmt::format(" {} |", title_of(metric_at(i)));
    rule += "---|";
  }
  text += "\n" + rule + "\n";
  for (const auto& row : summary) {
    if (row.category != category) continue;
    text += fmt::format("| {} | {} | {} |", to_string(row.method), row.normal_shots,
                        shots_text(row.abnormal_shots));
    for (const auto i : shown) {
      const std::string value = percent(row.metrics[i], " ± ", "–");
      text +=
          is_best(summary, row, i) ? fmt::format(" **{}** |", value) : fmt::format(" {} |", value);
    }
    text += "\n";
  }
  return text;
}

}  // namespace

std::string mean_title(std::size_t categories) {
  return categories == 1 ? "Results" : fmt::format("Mean over {} categories", categories);
}

Json results_json(const std::vector<CategoryResult>& results) {
  Json summary = Json::array(), references = Json::array(), categories = Json::array();
  for (const auto& row : summarize(results)) {
    Json metrics = Json::object();
    for (std::size_t i = 0; i < kMetricCount; ++i) {
      const Spread& spread = row.metrics[i];
      metrics[key_of(metric_at(i))] = {
          {"mean", spread.mean ? Json(*spread.mean) : Json(nullptr)},
          {"deviation", spread.deviation ? Json(*spread.deviation) : Json(nullptr)},
          {"categories", spread.categories}};
    }
    summary.push_back({{"category", is_mean(row) ? Json(nullptr) : Json(row.category)},
                       {"method", to_string(row.method)},
                       {"normal_shots", row.normal_shots},
                       {"abnormal_shots", row.abnormal_shots},
                       {"metrics", metrics}});
  }
  for (const auto& result : results) {
    Json category = to_json(result);
    for (auto& row : category["rows"]) row.erase("queries");  // they stand in scores.csv
    for (const auto& chosen : category["references"]) references.push_back(chosen);
    category.erase("references");
    categories.push_back(std::move(category));
  }
  return {{"summary", summary}, {"categories", categories}, {"references", references}};
}

std::string results_csv(const std::vector<CategoryResult>& results) {
  std::string text = "category,method,normal_shots,abnormal_shots,seed,good,anomalous";
  for (std::size_t i = 0; i < kMetricCount; ++i) text += std::string(",") + key_of(metric_at(i));
  text += ",image_threshold,pixel_threshold,pixel_cut\n";
  for (const auto& result : results) {
    for (const auto& row : result.rows) {
      text += fmt::format("{},{},{},{},{},{},{}", csv_field(row.category), to_string(row.method),
                          row.normal_shots, shots_text(row.abnormal_shots), row.seed, row.good,
                          row.anomalous);
      for (const auto& metric : row.metrics) {
        text += metric.value ? fmt::format(",{:.6f}", *metric.value) : ",";
      }
      for (const auto& threshold : {row.image_threshold, row.pixel_threshold, row.pixel_cut}) {
        text += threshold ? fmt::format(",{:.8g}", *threshold) : ",";
      }
      text += "\n";
    }
  }
  return text;
}

std::string scores_csv(const std::vector<CategoryResult>& results) {
  std::string text =
      "category,method,normal_shots,abnormal_shots,seed,path,type,anomalous,image_score\n";
  for (const auto& result : results) {
    for (const auto& row : result.rows) {
      const std::string setting =
          fmt::format("{},{},{},{},{}", csv_field(row.category), to_string(row.method),
                      row.normal_shots, shots_text(row.abnormal_shots), row.seed);
      for (const auto& query : row.queries) {
        text += fmt::format("{},{},{},{},{:.8g}\n", setting, csv_field(query.path.string()),
                            csv_field(query.defect), query.anomalous ? 1 : 0, query.score);
      }
    }
  }
  return text;
}

std::string markdown_tables(const std::vector<CategoryResult>& results,
                            const ReportContext& context) {
  const auto summary = summarize(results);
  std::string text = "# " + context.title + "\n\n";
  for (const auto& [name, value] : context.facts) {
    text += fmt::format("- {}: {}\n", name, markdown_escaped(value));
  }
  text += fmt::format(
      "\nPercent, mean ± standard deviation over seeds; PRO up to a false-positive rate of {}.\n\n"
      "## {}\n\n",
      context.pro_limit, mean_title(results.size()));
  text += markdown_table(summary, "");
  for (const auto& result : results) {
    text += fmt::format("\n## {}\n\n{} good and {} anomalous test pictures\n\n", result.name,
                        result.good, result.anomalous);
    for (const auto& warning : result.warnings) text += "> " + warning + "\n\n";
    text += markdown_table(summary, result.name);
  }
  return text;
}

std::string latex_table(const std::vector<CategoryResult>& results, const ReportContext& context) {
  const auto summary = summarize(results);
  const auto shown = shown_metrics(summary);
  std::string text = "% " + context.title + "\n";
  for (const auto& [name, value] : context.facts) text += "% " + name + ": " + value + "\n";
  text += fmt::format("\\begin{{tabular}}{{lrr{:r>{}}}}\n\\toprule\n", "", shown.size());
  text += "method & $K_1$ & $K_2$";
  for (const auto i : shown) {
    text += std::string(" & ") + title_of(metric_at(i));
  }
  text += " \\\\\n\\midrule\n";
  for (const auto& row : summary) {
    if (!is_mean(row)) continue;
    text += fmt::format("{} & {} & {}", latex_escaped(to_string(row.method)), row.normal_shots,
                        shots_text(row.abnormal_shots));
    for (const auto i : shown) {
      const std::string value = percent(row.metrics[i], "\\,{\\small$\\pm$", "--");
      const std::string closed = row.metrics[i].deviation ? value + "}" : value;
      text += is_best(summary, row, i) ? " & \\textbf{" + closed + "}" : " & " + closed;
    }
    text += " \\\\\n";
  }
  return text + "\\bottomrule\n\\end{tabular}\n";
}

std::string text_table(const std::vector<CategoryResult>& results) {
  const auto summary = summarize(results);
  const auto shown = shown_metrics(summary);
  std::string text = fmt::format("{:<12}{:>4}{:>6}", "method", "K1", "K2");
  for (const auto i : shown) {
    text += fmt::format("{:>14}", title_of(metric_at(i)));
  }
  text += "\n";
  for (const auto& row : summary) {
    if (!is_mean(row)) continue;
    text += fmt::format("{:<12}{:>4}{:>6}", to_string(row.method), row.normal_shots,
                        shots_text(row.abnormal_shots));
    for (const auto i : shown) {
      // `±` is two bytes and one column.
      const std::string value = percent(row.metrics[i], " ± ", "-");
      const std::size_t width = row.metrics[i].deviation ? 15 : 14;
      text += fmt::format("{}{}", std::string(width - std::min(width, value.size()), ' '), value);
    }
    text += "\n";
  }
  return text;
}

}  // namespace nagl
