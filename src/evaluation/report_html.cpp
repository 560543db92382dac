#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>

#include "embedded/evaluation_report.css.h"
#include "embedded/evaluation_report.html.h"
#include "html.h"
#include "nagl/core/atomic_file.h"
#include "nagl/evaluation/report.h"

namespace nagl {
namespace {

constexpr std::size_t kLargestOverlay = std::size_t{1} << 26;
constexpr double kSide = 188, kMargin = 38;  // of a chart, in pixels
constexpr int kBins = 32;

const char* colour_of(Method method) {
  switch (method) {
    case Method::kNormalNn:
      return "#3b6fb6";
    case Method::kAbnormalNn:
      return "#e08a1e";
    case Method::kBothNn:
      return "#3f9b5b";
    case Method::kNagl:
      return "#c0345f";
    case Method::kDiscriminant:
      return "#7a4fb5";
    case Method::kNaglStandardised:
      return "#8c6d31";
    case Method::kAuto:
      return "#222222";
  }
  return "#222222";
}

/// The cells of a row's metrics.
std::string metric_cells(const std::vector<SummaryRow>& rows, const SummaryRow& row) {
  std::string html;
  for (const auto i : shown_metrics(rows)) {
    const Spread& spread = row.metrics[i];
    if (!spread.mean) {
      html += "<td>–</td>";
      continue;
    }
    html += fmt::format("<td{}>{:.1f}", is_best(rows, row, i) ? " class='best'" : "",
                        100 * *spread.mean);
    if (spread.deviation) html += fmt::format(" <small>± {:.1f}</small>", 100 * *spread.deviation);
    html += "</td>";
  }
  return html;
}

std::string metric_table(const std::vector<SummaryRow>& summary, const std::string& category) {
  std::string html = "<table><tr><th>method</th><th>K1</th><th>K2</th>";
  for (const auto i : shown_metrics(summary)) {
    html += fmt::format("<th>{}</th>", title_of(metric_at(i)));
  }
  html += "</tr>\n";
  for (const auto& row : summary) {
    if (row.category != category) continue;
    html +=
        fmt::format("<tr><td>{}</td><td>{}</td><td>{}</td>{}</tr>\n", to_string(row.method),
                    row.normal_shots, shots_text(row.abnormal_shots), metric_cells(summary, row));
  }
  return html + "</table>\n";
}

std::string chart(const std::string& title, const std::string& x_title, const std::string& y_title,
                  const std::string& content) {
  const double size = kSide + 2 * kMargin;
  return fmt::format(
      "<svg width='{0:.0f}' height='{0:.0f}' viewBox='0 0 {0:.0f} {0:.0f}' font-size='11' "
      "fill='#5c6773'><text x='{1:.0f}' y='22' font-size='13' fill='#1b1f24'>{2}</text>"
      "<rect x='{1:.0f}' y='{1:.0f}' width='{3:.0f}' height='{3:.0f}' fill='none' "
      "stroke='#c8d0d9'/>{4}<text x='{5:.0f}' y='{6:.0f}' text-anchor='middle'>{7}</text>"
      "<text x='12' y='{5:.0f}' text-anchor='middle' transform='rotate(-90 12 {5:.0f})'>{8}"
      "</text></svg>\n",
      size, kMargin, escaped(title), kSide, content, kMargin + kSide / 2, size - 6,
      escaped(x_title), escaped(y_title));
}

std::string tick(double x, double y, const std::string& text, const char* anchor) {
  return fmt::format("<text x='{:.1f}' y='{:.1f}' text-anchor='{}'>{}</text>", x, y, anchor, text);
}

struct Line {
  std::string colour;
  const std::vector<CurvePoint>* points;
};

std::string curve_chart(const std::string& title, const std::string& y_title,
                        const std::vector<Line>& lines, double most) {
  std::string content;
  for (const double share : {0.0, 0.5, 1.0}) {
    const std::string along = fmt::format("{:.3g}", share * most);
    content += tick(kMargin + share * kSide, kMargin + kSide + 14, along, "middle");
    content +=
        tick(kMargin - 5, kMargin + (1 - share) * kSide + 4, fmt::format("{:.3g}", share), "end");
  }
  for (const auto& line : lines) {
    std::string points;
    CurvePoint last{0, 0};
    for (const auto& point : *line.points) {
      CurvePoint shown = point;
      if (point.false_alarms > most) {  // cut at the edge
        const double run = point.false_alarms - last.false_alarms;
        const double share = run > 0 ? (most - last.false_alarms) / run : 0;
        shown = {most, last.hits + share * (point.hits - last.hits)};
      }
      points += fmt::format("{:.1f},{:.1f} ", kMargin + shown.false_alarms / most * kSide,
                            kMargin + (1 - shown.hits) * kSide);
      last = point;
      if (point.false_alarms > most) break;
    }
    content += fmt::format("<polyline points='{}' fill='none' stroke='{}' stroke-width='1.8'/>",
                           points, line.colour);
  }
  return chart(title, "false-positive rate", y_title, content);
}

/// Shares of good and anomalous queries by image score, and the threshold of F1-max.
std::string histogram(const EvaluationRow& row) {
  double low = 1, high = 0;
  for (const auto& query : row.queries) {
    low = std::min(low, query.score);
    high = std::max(high, query.score);
  }
  high = std::max(high, low + 1e-9);
  std::array<std::array<double, kBins>, 2> counts{};
  for (const auto& query : row.queries) {
    const auto bin = static_cast<int>((query.score - low) / (high - low) * kBins);
    const double all = static_cast<double>(query.anomalous ? row.anomalous : row.good);
    counts[query.anomalous][static_cast<std::size_t>(std::min(bin, kBins - 1))] += 1 / all;
  }
  double most = 0;
  for (const auto& kind : counts)
    most = std::max(most, *std::max_element(kind.begin(), kind.end()));
  std::string content;
  constexpr const char* kColours[] = {"#3b6fb6", "#c0345f"};
  for (std::size_t kind = 0; kind < 2; ++kind) {
    for (std::size_t bin = 0; bin < kBins; ++bin) {
      const double height = most > 0 ? counts[kind][bin] / most * kSide : 0;
      if (height == 0) continue;
      content += fmt::format(
          "<rect x='{:.1f}' y='{:.1f}' width='{:.1f}' height='{:.1f}' fill='{}' opacity='0.55'/>",
          kMargin + static_cast<double>(bin) * kSide / kBins, kMargin + kSide - height,
          kSide / kBins, height, kColours[kind]);
    }
  }
  if (row.image_threshold) {
    const double x = kMargin + (*row.image_threshold - low) / (high - low) * kSide;
    content += fmt::format(
        "<line x1='{0:.1f}' x2='{0:.1f}' y1='{1:.1f}' y2='{2:.1f}' stroke='#1b1f24' "
        "stroke-dasharray='4 3'/>",
        x, kMargin, kMargin + kSide);
  }
  content += tick(kMargin, kMargin + kSide + 14, fmt::format("{:.3f}", low), "start");
  content += tick(kMargin + kSide, kMargin + kSide + 14, fmt::format("{:.3f}", high), "end");
  content +=
      "<text x='48' y='54' fill='#3b6fb6'>good</text><text x='48' y='68' fill='#c0345f'>"
      "anomalous</text>";
  return chart("Image scores, " + to_string(row.method), "image score", "share", content);
}

std::string legend(const std::vector<const EvaluationRow*>& rows) {
  std::string html = "<p class='note'>";
  for (const auto* row : rows) {
    html += fmt::format("<span style='color:{}'>&#9632;</span> {} &nbsp; ", colour_of(row->method),
                        to_string(row->method));
  }
  return html + "</p>\n";
}

std::string charts_of(const CategoryResult& result, double pro_limit) {
  if (result.rows.empty()) return "";
  // Of the first setting; more would hide each other.
  const EvaluationRow& first = result.rows.front();
  std::vector<const EvaluationRow*> rows;
  for (const auto& row : result.rows) {
    if (row.normal_shots == first.normal_shots && row.abnormal_shots == first.abnormal_shots &&
        row.seed == first.seed && !row.queries.empty()) {
      rows.push_back(&row);
    }
  }
  if (rows.empty()) return "";
  std::vector<Line> image, pixel, overlap;
  for (const auto* row : rows) {
    image.push_back({colour_of(row->method), &row->image_roc});
    pixel.push_back({colour_of(row->method), &row->pixel_roc});
    overlap.push_back({colour_of(row->method), &row->pro_curve});
  }
  std::string html = fmt::format("<h3>K1 {}, K2 {}, seed {}</h3>", first.normal_shots,
                                 shots_text(first.abnormal_shots), first.seed);
  html += legend(rows) + "<div class='charts'>";
  html += curve_chart("Image ROC", "true-positive rate", image, 1);
  if (!rows.front()->pixel_roc.empty()) {
    html += curve_chart("Pixel ROC", "true-positive rate", pixel, 1);
    html += curve_chart("PRO curve", "mean overlap with regions", overlap, pro_limit);
  }
  for (const auto* row : rows) html += histogram(*row);
  return html + "</div>\n";
}

std::string examples_of(const CategoryResult& result, const std::filesystem::path& folder) {
  if (result.examples.empty()) return "";
  std::string html = fmt::format(
      "<h3>Examples: the defects that score highest and lowest, and the good pictures that score "
      "highest ({})</h3><p class='note'>Left the picture, then its heat map with the hottest "
      "region "
      "outlined, then the true defect. Found, missed and false alarm are as the threshold of the "
      "F1-max has it.</p><div class='examples'>",
      escaped(result.examples_of));
  for (const auto& example : result.examples) {
    std::string kind = example.kind;
    std::replace(kind.begin(), kind.end(), ' ', '-');
    html += fmt::format(
        "<figure><img loading='lazy' alt='{}' src='data:image/jpeg;base64,{}'><figcaption>"
        "<span class='kind {}'>{}</span>{} &middot; score {:.4f}</figcaption></figure>\n",
        escaped(example.path.string()),
        base64(read_file(folder / example.overlay, kLargestOverlay)), kind, example.kind,
        escaped(example.path.string()), example.score);
  }
  return html + "</div>\n";
}

std::string efficiency(const std::vector<CategoryResult>& results, const ReportContext& context) {
  EvaluationTiming sum;
  std::size_t maps = 0;
  for (const auto& result : results) {
    sum.pictures += result.timing.pictures;
    sum.encode += result.timing.encode;
    sum.score += result.timing.score;
    sum.measure += result.timing.measure;
    sum.wait += result.timing.wait;
    sum.total += result.timing.total;
    for (const auto& row : result.rows) maps += row.queries.size();
  }
  const auto pictures = static_cast<double>(sum.pictures);
  const auto each = [&](double seconds) {
    return pictures > 0 ? fmt::format("{:.1f} ms", 1e3 * seconds / pictures) : "–";
  };
  std::string html =
      "<table><tr><th>parameters</th><th>training</th><th>pictures</th><th>pictures / s</th>"
      "<th>backbone</th><th>methods</th><th>maps, metrics</th><th>files</th><th>maps</th></tr><tr>";
  html += fmt::format("<td>{:.1f} M <small>({:.1f} + {:.1f} head)</small></td>",
                      (context.backbone_parameters + context.head_parameters) / 1e6,
                      context.backbone_parameters / 1e6, context.head_parameters / 1e6);
  html += context.training_hours ? fmt::format("<td>{:.2f} h</td>", *context.training_hours)
                                 : "<td>–</td>";
  html += fmt::format(
      "<td>{}</td><td>{:.2f}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td>"
      "<td>{}</td></tr></table>",
      sum.pictures, sum.total > 0 ? pictures / sum.total : 0.0, each(sum.encode), each(sum.score),
      each(sum.measure), each(sum.wait), maps);
  return html;
}

std::string headline(const std::vector<SummaryRow>& summary, const std::string& category) {
  const SummaryRow* best = nullptr;
  for (const auto& row : summary) {
    if (row.category != category || !row.metrics[0].mean) continue;
    if (best == nullptr || *row.metrics[0].mean > *best->metrics[0].mean) best = &row;
  }
  if (best == nullptr) return "no image AUROC";
  return fmt::format("best image AUROC {:.1f} ({}, K1 {}, K2 {})", 100 * *best->metrics[0].mean,
                     to_string(best->method), best->normal_shots, shots_text(best->abnormal_shots));
}

/// A category's part of the page, unfolded where there are few.
std::string details_of(const CategoryResult& result, const std::vector<SummaryRow>& summary,
                       std::size_t categories, const ReportContext& context,
                       const std::filesystem::path& folder) {
  std::string html = fmt::format(
      "<details{}><summary>{}<span>{} good, {} anomalous &middot; {}</span></summary>\n",
      categories <= 3 ? " open" : "", escaped(result.name), result.good, result.anomalous,
      headline(summary, result.name));
  for (const auto& warning : result.warnings) {
    html += fmt::format("<div class='warning'>{}</div>", escaped(warning));
  }
  if (categories > 1) html += metric_table(summary, result.name);
  std::vector<std::string> reasons;
  for (const auto& row : result.rows) {
    for (const auto& metric : row.metrics) {
      if (!metric.value &&
          std::find(reasons.begin(), reasons.end(), metric.reason) == reasons.end()) {
        reasons.push_back(metric.reason);
      }
    }
  }
  if (!reasons.empty()) {
    html += fmt::format("<p class='note'>Absent values: {}.</p>",
                        escaped(fmt::format("{}", fmt::join(reasons, "; "))));
  }
  return html + charts_of(result, context.pro_limit) + examples_of(result, folder) + "</details>\n";
}

}  // namespace

std::string html_report(const std::vector<CategoryResult>& results, const ReportContext& context,
                        const std::filesystem::path& folder) {
  const auto summary = summarize(results);
  std::string facts, categories;
  for (const auto& [name, value] : context.facts) {
    facts += fmt::format("<dt>{}</dt><dd>{}</dd>", escaped(name), escaped(value));
  }
  for (const auto& result : results) {
    categories += details_of(result, summary, results.size(), context, folder);
  }
  return fmt::format(
      fmt::runtime(embedded::kEvaluationReportHtml), fmt::arg("title", escaped(context.title)),
      fmt::arg("style", embedded::kEvaluationReportCss), fmt::arg("facts", facts),
      fmt::arg("mean_title", mean_title(results.size())),
      fmt::arg("mean", metric_table(summary, "")), fmt::arg("pro_limit", context.pro_limit),
      fmt::arg("efficiency", efficiency(results, context)), fmt::arg("categories", categories));
}

}  // namespace nagl
