#include "score_facts.h"

#include <fmt/format.h>

#include "nagl/core/atomic_file.h"
#include "nagl/core/options.h"
#include "nagl/jobs/encoder_setup.h"

namespace nagl::jobs {
namespace {

/// A method, and what it comes down to.
std::string method_text(const Bank& bank) {
  const std::string asked = to_string(bank.options.method), used = to_string(bank.scored_by());
  return asked == used ? asked : fmt::format("{} ({})", asked, used);
}

}  // namespace

Json describe_run(const ScoreOptions& options, const BankPictures& references,
                  const Detector& detector, const std::optional<ColourScale>& scale) {
  Json run = describe_encoder(detector.encoder());
  const auto shown = [&](double score) {
    return shown_score(score, detector.bank().score_range());
  };
  run["method"] = to_string(detector.options().method);
  const Bank& bank = detector.bank();
  run["scored_by"] = to_string(bank.scored_by());
  if (const auto choice = explain_choice(bank.options, bank.normal.size(), bank.abnormal.size());
      !choice.empty()) {
    run["scored_by_why"] = choice;
  }
  if (!options.request.model.empty()) run["model"] = options.request.model.string();
  if (!options.bank.empty()) run["bank"] = options.bank.string();
  run["options"] = option_to_json(detector.options());
  if (!options.roi.empty()) run["roi"] = options.roi.string();
  run["map_format"] = to_string(options.map_format);
  run["colour_scale"] = scale ? Json{{"low", shown(scale->low)},
                                     {"high", shown(scale->high)},
                                     {"good", shown(scale->good)}}
                              : Json("auto");
  if (const auto calibration = detector.bank().shown_calibration()) {
    run["calibration"] = option_to_json(*calibration);
  }
  if (const auto& used = detector.thresholds()) {
    Json& thresholds = run["thresholds"] = {
        {"image", shown(used->image)}, {"map", shown(used->map)}, {"least_area", used->least_area}};
    if (used->uncertain) thresholds["uncertain"] = shown(*used->uncertain);
  }
  if (options.bank.empty()) {
    run.update(describe_pictures(references));
  } else {
    run["normal"] = option_to_json(detector.bank().normal);
    run["abnormal"] = option_to_json(detector.bank().abnormal);
  }
  return run;
}

void write_report(const OutputPlan& plan, std::vector<ReportPicture> pictures,
                  const Detector& detector, const Json& summary) {
  ScoreReport report;
  report.facts = {
      {"method", method_text(detector.bank())},
      {"backbone", detector.backbone().describe()},
      {"references", fmt::format("{} good, {} of defects", detector.bank().normal_count(),
                                 detector.bank().abnormal.size())}};
  if (summary["image_auroc"].is_number()) {
    report.facts.emplace_back("image AUROC",
                              fmt::format("{:.2f} %", 100 * summary["image_auroc"].get<double>()));
  }
  if (const auto& thresholds = detector.thresholds()) {
    report.threshold = shown_score(thresholds->image, detector.bank().score_range());
    if (thresholds->uncertain) {
      report.uncertain = shown_score(*thresholds->uncertain, detector.bank().score_range());
    }
    const auto& calibration = detector.bank().calibration;
    const bool by_it = calibration && calibration->image_threshold == thresholds->image;
    if (by_it) report.trust = trust_in(*calibration);
  }
  report.pictures = std::move(pictures);
  write_file(plan.html(), score_report_html(report));
}

}  // namespace nagl::jobs
