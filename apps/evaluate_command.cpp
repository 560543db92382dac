#include "commands.h"
#include "evaluate_arguments.h"

namespace nagl::apps {

void add_evaluate(CLI::App& app, int& exit_code) {
  auto arguments = std::make_shared<EvaluateArguments>();
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
      ->add_option("--data", arguments->data,
                   "A data set, or a category of one (MVTec AD's layout, VisA, BMAD, Real-IAD, "
                   "plain folders, a manifest); may be repeated")
      ->allow_extra_args(false)
      ->group(kTarget);
  command
      ->add_option("--format", arguments->format,
                   "auto, mvtec, visa, bmad, real_iad, folders or manifest (default: auto)")
      ->group(kTarget);
  command
      ->add_option("--out", arguments->out,
                   "Folder for results.json, results.csv, scores.csv, table.md, table.tex, "
                   "report.html and overlays")
      ->required()
      ->group(kTarget);
  command
      ->add_flag("--resume", arguments->resume,
                 "Go on with the evaluation in OUT: categories that are done are not scored again")
      ->group(kTarget);
  command->add_flag("--json", arguments->json, "Print the summary as JSON instead of a table")
      ->group(kTarget);

  constexpr const char* kProtocol = "Protocol";
  command
      ->add_option("--protocol", arguments->protocol,
                   "strict: references are drawn by seed, never scored, the same for all queries "
                   "(default); published: as the published code does, references stay among the "
                   "queries and have the query's own defect type; unseen: as strict, and only "
                   "defects of types that were not shown are scored")
      ->group(kProtocol);
  command
      ->add_option("--methods", arguments->methods,
                   "normal_nn, abnormal_nn, both_nn, nagl, separated by commas (default: all, nagl "
                   "with a model)")
      ->delimiter(',')
      ->allow_extra_args(false)
      ->group(kProtocol);
  command->add_option("--model", arguments->model, "The model.safetensors of nagl train, for nagl")
      ->group(kProtocol);
  command
      ->add_option("--normal-shots", arguments->normal_shots,
                   "Normal references, one or more numbers separated by commas (default: 1)")
      ->delimiter(',')
      ->allow_extra_args(false)
      ->group(kProtocol);
  command
      ->add_option("--abnormal-shots", arguments->abnormal_shots,
                   "Abnormal references in all, numbers separated by commas; each: one of each "
                   "defect type (default: 1)")
      ->delimiter(',')
      ->allow_extra_args(false)
      ->group(kProtocol);
  command
      ->add_option("--seeds", arguments->seeds,
                   "How often references are drawn; tables show mean and deviation (default: 3)")
      ->group(kProtocol);
  command
      ->add_option("--references", arguments->references,
                   "Use the references that stand in this results.json instead of drawing")
      ->group(kProtocol);

  add_recipe_options(*command, arguments->recipe, "configs/visa_to_mvtec.json",
                     "evaluation.pro_limit=0.05");
  add_runtime_options(*command, arguments->runtime);
  command->callback([arguments, &exit_code] { exit_code = run_evaluate(*arguments); });
}

}  // namespace nagl::apps
