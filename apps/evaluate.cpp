#include <fmt/format.h>
#include <fmt/ostream.h>

#include <iostream>

#include "commands.h"
#include "console.h"
#include "nagl/core/error.h"
#include "nagl/core/text.h"
#include "nagl/evaluation/report.h"
#include "nagl/jobs/evaluate_on.h"
#include "picture_flags.h"

namespace nagl::apps {
namespace {

std::int64_t parse_shots(const std::string& text, bool abnormal) {
  if (abnormal && text == "each") return kOneOfEach;
  const auto shots = whole_number(text);
  if (!shots || *shots < 0) {
    throw ConfigError(fmt::format("'{}' is not a number of shots{}", text,
                                  abnormal ? "; numbers from 0 or the word each" : ""));
  }
  return *shots;
}

void run_evaluate(const jobs::EvaluateRequest& request, bool json) {
  Console console;
  const jobs::EvaluateResult result = jobs::evaluate_on(request, console.observer());
  console.clear();
  if (json) {
    fmt::print(std::cout, "{}\n", dump_json(result.all["summary"]));
    return;
  }
  fmt::print(std::cout,
             "{} protocol, mean over {} categories in percent, ± over {} seeds; {}\n\n{}\n"
             "report:  {}\ntables:  {}\nnumbers: {}\n",
             to_string(result.protocol), result.categories.size(), result.seeds, result.backbone,
             text_table(result.categories), result.report.string(), result.tables.string(),
             result.numbers.string());
  if (!result.submission.empty()) {
    fmt::print(std::cout, "to submit: {}\n", result.submission.string());
  }
}

/// An option of values separated by commas, each read by `read`.
CLI::Option* add_list(CLI::App& command, const std::string& name,
                      const std::function<void(const std::vector<std::string>&)>& read,
                      const std::string& help) {
  return command.add_option_function<std::vector<std::string>>(name, read, help)
      ->delimiter(',')
      ->allow_extra_args(false);
}

}  // namespace

void add_evaluate(CLI::App& app, int&) {
  auto request = std::make_shared<jobs::EvaluateRequest>();
  auto json = std::make_shared<bool>(false);
  auto* command = app.add_subcommand(
      "evaluate",
      "Score a whole benchmark under a stated protocol: image and pixel AUROC, AP, F1-max and PRO "
      "of every method, as tables, files and one HTML report. Nothing is trained.\n\n"
      "  nagl evaluate --data mvtec/ --model runs/visa/model.safetensors --normal-shots 1,2,4 "
      "--out "
      "results/\n"
      "  nagl evaluate --config configs/visa_to_mvtec.json --out results/\n"
      "  nagl evaluate --data target/ --references results/results.json --out again/");
  constexpr const char* kTarget = "Target and result";
  command
      ->add_option("--data", request->data,
                   "A data set, or a category of one (MVTec AD, MVTec AD 2, VisA, BMAD, Real-IAD, "
                   "plain folders, a manifest); may be repeated")
      ->allow_extra_args(false)
      ->group(kTarget);
  add_parsed_option(*command, "--format", request->format,
                    listed_names<DatasetFormat>() + " (default: auto)")
      ->group(kTarget);
  command
      ->add_option("--modality", request->modality,
                   "Of BraTS' volumes: flair, t1, t1ce or t2 (default: flair)")
      ->group(kTarget);
  command
      ->add_option("--out", request->out,
                   "Folder for results.json, results.csv, scores.csv, table.md, table.tex, "
                   "report.html and overlays")
      ->required()
      ->group(kTarget);
  command
      ->add_flag("--resume", request->resume,
                 "Go on with the evaluation in OUT: categories that are done are not scored again")
      ->group(kTarget);
  command
      ->add_option("--submission", request->submission,
                   "Also score the pictures whose truth the authors keep (MVTec AD 2's "
                   "test_private and test_private_mixed), by the first references drawn, and put "
                   "into this folder, and DIR.tar.gz beside it, what their server takes")
      ->group(kTarget);
  command->add_flag("--json", *json, "Print the summary as JSON instead of a table")
      ->group(kTarget);

  constexpr const char* kProtocol = "Protocol";
  add_parsed_option(*command, "--protocol", request->protocol,
                    "strict: references are drawn by seed, never scored, the same for all queries "
                    "(default); published: as the published code does, references stay among the "
                    "queries and have the query's own defect type; unseen: as strict, and only "
                    "defects of types that were not shown are scored")
      ->group(kProtocol);
  add_list(
      *command, "--methods",
      [request](const std::vector<std::string>& names) {
        for (const auto& name : names) request->methods.push_back(parse_as<Method>(name));
      },
      listed_names<Method>() +
          ", separated by commas (default: all, those of nagl with a model). auto is what nagl "
          "score does unless told otherwise")
      ->group(kProtocol);
  command
      ->add_option("--model", request->model,
                   "The model.safetensors of nagl train, for nagl and nagl_standardised")
      ->group(kProtocol);
  add_list(
      *command, "--normal-shots",
      [request](const std::vector<std::string>& texts) {
        for (const auto& text : texts) request->normal_shots.push_back(parse_shots(text, false));
      },
      "Normal references, one or more numbers separated by commas (default: 1)")
      ->group(kProtocol);
  add_list(
      *command, "--abnormal-shots",
      [request](const std::vector<std::string>& texts) {
        for (const auto& text : texts) request->abnormal_shots.push_back(parse_shots(text, true));
      },
      "Abnormal references in all, numbers separated by commas; each: one of each defect type "
      "(default: 1)")
      ->group(kProtocol);
  command
      ->add_option("--seeds", request->seeds,
                   "How often references are drawn; tables show mean and deviation (default: 3)")
      ->group(kProtocol);
  command
      ->add_option("--references", request->references,
                   "Use the references that stand in this results.json instead of drawing")
      ->group(kProtocol);
  command
      ->add_option("--roi", request->roi,
                   "Where to look: a mask picture for all queries, or a folder of them matched by "
                   "stem; patches outside do not count")
      ->group(kProtocol);

  add_reference_flags(*command, request->reference_options);
  add_tiling_flags(*command, request->encoding);
  add_experiment_flags(*command, request->config, request->settings, "configs/visa_to_mvtec.json",
                       "evaluation.pro_limit=0.05");
  add_shard_flags(*command, request->sharding, request->runtime, true);
  add_backbone_flags(*command, request->runtime, request->encoding);
  command->callback([request, json] { run_evaluate(*request, *json); });
}

}  // namespace nagl::apps
