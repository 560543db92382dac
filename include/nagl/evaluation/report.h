#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "nagl/core/json.h"
#include "nagl/evaluation/results.h"

namespace nagl {

/// All that a report tells beside the numbers. Texts are for people, and may hold anything.
struct ReportContext {
  std::string title;
  std::vector<std::pair<std::string, std::string>> facts;  ///< protocol, backbone, model, ...
  double backbone_parameters = 0;        ///< as many as are used, blocks after the layer not
  double head_parameters = 0;            ///< 0: there is no head
  std::optional<double> training_hours;  ///< where the model says
  double pro_limit = 0.3;
};

/// `Mean over 15 categories`, or what it is for one.
std::string mean_title(std::size_t categories);

/// `results.json` without its context: summary, references, categories.
Json results_json(const std::vector<CategoryResult>& results);

/// One row a category, method, shots and seed.
std::string results_csv(const std::vector<CategoryResult>& results);

/// One row a query, method, shots and seed.
std::string scores_csv(const std::vector<CategoryResult>& results);

/// Tables in percent, `mean ± deviation over seeds`: the mean over categories, then each category.
std::string markdown_tables(const std::vector<CategoryResult>& results,
                            const ReportContext& context);
/// The mean over categories as a LaTeX table (booktabs).
std::string latex_table(const std::vector<CategoryResult>& results, const ReportContext& context);

/// The mean over categories for a terminal.
std::string text_table(const std::vector<CategoryResult>& results);

/// One HTML file without any other: tables, curves, histograms of image scores, examples with their
/// overlays, where the time went. @param folder that overlays are read from
std::string html_report(const std::vector<CategoryResult>& results, const ReportContext& context,
                        const std::filesystem::path& folder);

}  // namespace nagl
