#include <gtest/gtest.h>

#include <algorithm>

#include "nagl/evaluation/report.h"

namespace nagl {
namespace {

/// One method on one category with one seed: the image AUROC, and no other metric.
EvaluationRow row(const std::string& category, Method method, std::uint64_t seed, double auroc) {
  EvaluationRow row;
  row.category = category;
  row.method = method;
  row.normal_shots = 4;
  row.abnormal_shots = 1;
  row.seed = seed;
  row.good = 2;
  row.anomalous = 3;
  for (auto& metric : row.metrics) metric.reason = "not measured";
  row.metrics[0] = {auroc, ""};
  return row;
}

/// Means over categories: `normal_nn` 0.75 and 0.85 by seed, `both_nn` 0.9 and 0.9.
std::vector<CategoryResult> two_categories() {
  std::vector<CategoryResult> results(2);
  results[0].name = "nut, \"m4\"";
  results[1].name = "board";
  const double aurocs[2][2][2] = {{{0.5, 0.7}, {0.8, 0.8}}, {{1.0, 1.0}, {1.0, 1.0}}};
  for (std::size_t i = 0; i < 2; ++i) {
    results[i].good = 2;
    results[i].anomalous = 3;
    for (std::uint64_t seed = 0; seed < 2; ++seed) {
      results[i].rows.push_back(row(results[i].name, Method::kNormalNn, seed, aurocs[i][0][seed]));
      results[i].rows.push_back(row(results[i].name, Method::kBothNn, seed, aurocs[i][1][seed]));
    }
  }
  results[1].warnings = {"a leak"};
  return results;
}

ReportContext context() {
  ReportContext context;
  context.title = "Test";
  context.facts = {{"protocol", "a|b"}};
  return context;
}

TEST(ReportTables, MarkdownHasTheMeanThenEachCategory) {
  EXPECT_EQ(markdown_tables(two_categories(), context()),
            "# Test\n\n"
            "- protocol: a\\|b\n\n"
            "Percent, mean ± standard deviation over seeds; PRO up to a false-positive rate of "
            "0.3.\n\n"
            "## Mean over 2 categories\n\n"
            "| method | K1 | K2 | image AUROC | image AP | image F1-max | pixel AUROC | pixel AP "
            "| pixel F1-max | PRO |\n"
            "|---|---|---|---|---|---|---|---|---|---|\n"
            "| normal_nn | 4 | 1 | 80.0 ± 7.1 | – | – | – | – | – | – |\n"
            "| both_nn | 4 | 1 | **90.0 ± 0.0** | – | – | – | – | – | – |\n"
            "\n## nut, \"m4\"\n\n2 good and 3 anomalous test pictures\n\n"
            "| method | K1 | K2 | image AUROC | image AP | image F1-max | pixel AUROC | pixel AP "
            "| pixel F1-max | PRO |\n"
            "|---|---|---|---|---|---|---|---|---|---|\n"
            "| normal_nn | 4 | 1 | 60.0 ± 14.1 | – | – | – | – | – | – |\n"
            "| both_nn | 4 | 1 | **80.0 ± 0.0** | – | – | – | – | – | – |\n"
            "\n## board\n\n2 good and 3 anomalous test pictures\n\n> a leak\n\n"
            "| method | K1 | K2 | image AUROC | image AP | image F1-max | pixel AUROC | pixel AP "
            "| pixel F1-max | PRO |\n"
            "|---|---|---|---|---|---|---|---|---|---|\n"
            "| normal_nn | 4 | 1 | **100.0 ± 0.0** | – | – | – | – | – | – |\n"
            "| both_nn | 4 | 1 | **100.0 ± 0.0** | – | – | – | – | – | – |\n");
}

TEST(ReportTables, LatexEscapesAndMarksTheBest) {
  EXPECT_EQ(latex_table(two_categories(), context()),
            "% Test\n% protocol: a|b\n"
            "\\begin{tabular}{lrrrrrrrrr}\n\\toprule\n"
            "method & $K_1$ & $K_2$ & image AUROC & image AP & image F1-max & pixel AUROC & pixel "
            "AP & pixel F1-max & PRO \\\\\n\\midrule\n"
            "normal\\_nn & 4 & 1 & 80.0\\,{\\small$\\pm$7.1} & -- & -- & -- & -- & -- & -- \\\\\n"
            "both\\_nn & 4 & 1 & \\textbf{90.0\\,{\\small$\\pm$0.0}} & -- & -- & -- & -- & -- & "
            "-- \\\\\n"
            "\\bottomrule\n\\end{tabular}\n");
}

TEST(ReportTables, CsvHasARowASeedAndQuotesWhatNeedsIt) {
  auto results = two_categories();
  results.pop_back();
  results[0].rows.resize(1);
  auto& first = results[0].rows[0];
  first.image_threshold = 0.25;
  first.queries = {{"test/good/1.png", "good", false, 0.125}, {"a,b.png", "crack", true, 0.5}};
  EXPECT_EQ(
      results_csv(results),
      "category,method,normal_shots,abnormal_shots,seed,good,anomalous,image_auroc,image_ap,"
      "image_f1_max,pixel_auroc,pixel_ap,pixel_f1_max,pro,pixel_f1,sample_auroc,image_threshold,"
      "pixel_threshold,pixel_cut\n"
      "\"nut, \"\"m4\"\"\",normal_nn,4,1,0,2,3,0.500000,,,,,,,,,0.25,,\n");
  EXPECT_EQ(scores_csv(results),
            "category,method,normal_shots,abnormal_shots,seed,path,type,anomalous,image_score\n"
            "\"nut, \"\"m4\"\"\",normal_nn,4,1,0,test/good/1.png,good,0,0.125\n"
            "\"nut, \"\"m4\"\"\",normal_nn,4,1,0,\"a,b.png\",crack,1,0.5\n");
}

TEST(ReportTables, TextLinesUp) {
  EXPECT_EQ(text_table(two_categories()),
            "method        K1    K2   image AUROC      image AP  image F1-max   pixel AUROC"
            "      pixel AP  pixel F1-max           PRO\n"
            "normal_nn      4     1    80.0 ± 7.1             -             -             -"
            "             -             -             -\n"
            "both_nn        4     1    90.0 ± 0.0             -             -             -"
            "             -             -             -\n");
}

TEST(ReportTables, OneSeedHasNoDeviationAndOneCategoryNoMean) {
  auto results = two_categories();
  results.resize(1);
  results[0].rows.resize(1);
  const std::string text = markdown_tables(results, context());
  EXPECT_NE(text.find("## Results\n"), std::string::npos);
  EXPECT_NE(text.find("| normal_nn | 4 | 1 | **50.0** |"), std::string::npos);
}

}  // namespace
}  // namespace nagl
