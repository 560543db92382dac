#include "commands.h"
#include "score_arguments.h"

namespace nagl::apps {

void add_score(CLI::App& app, int& exit_code) {
  auto arguments = std::make_shared<ScoreArguments>();
  auto* command = app.add_subcommand(
      "score",
      "Score pictures against reference folders: for each an image score, an anomaly map and an "
      "overlay.\n\n"
      "  nagl score --normal good/ --out result/ new/\n"
      "  nagl score --normal good/ --abnormal bad/ --masks bad_masks/ --method both_nn "
      "new/a.png\n"
      "  nagl score --normal good/ --abnormal bad/ --masks bad_masks/ --method nagl --model "
      "runs/source/model.safetensors new/\n");
  command->add_option("query", arguments->queries, "Pictures, or folders of them (recursively)")
      ->required();

  constexpr const char* kReferences = "References";
  command
      ->add_option("--normal", arguments->normal,
                   "Folder of pictures of good parts, or one such picture; may be repeated")
      ->required()
      ->allow_extra_args(false)
      ->group(kReferences);
  command
      ->add_option("--abnormal", arguments->abnormal,
                   "Folder of pictures of defects, or one such picture; may be repeated")
      ->allow_extra_args(false)
      ->group(kReferences);
  command
      ->add_option(
          "--masks", arguments->masks,
          "Folder of their masks (above 0 on the defect), matched by stem, with or without "
          "_mask")
      ->group(kReferences);
  command
      ->add_option("--normal-shots", arguments->normal_shots,
                   "Use only the first N normal pictures, sorted by path")
      ->check(CLI::Range(1, 1000000))
      ->group(kReferences);
  command
      ->add_option("--abnormal-shots", arguments->abnormal_shots,
                   "Use only the first N abnormal pictures")
      ->check(CLI::Range(1, 1000000))
      ->group(kReferences);

  constexpr const char* kScoring = "Scoring";
  command
      ->add_option("--method", arguments->method,
                   "normal_nn: unlike any good patch; abnormal_nn: like a known defect; both_nn: "
                   "both; nagl: "
                   "both, with a model that nagl train made")
      ->capture_default_str()
      ->group(kScoring);
  command
      ->add_option("--model", arguments->model,
                   "The model.safetensors of a training, for --method nagl; --layer follows it")
      ->group(kScoring);
  command
      ->add_option("--roi", arguments->roi,
                   "Where to look: a mask picture for all queries, or a folder of them matched by "
                   "stem; patches outside do not count")
      ->group(kScoring);
  command
      ->add_option("--bit-depth", arguments->decode.bit_depth,
                   "Bits a sample of 16-bit pictures really holds, e.g. 12")
      ->capture_default_str()
      ->group(kScoring);

  constexpr const char* kOutput = "Output";
  command
      ->add_option("--out", arguments->out,
                   "Folder for maps/, overlays/, results.jsonl, results.csv and run.json (without "
                   "it: scores only)")
      ->group(kOutput);
  command->add_flag("--overwrite", arguments->overwrite, "Replace files that exist")
      ->group(kOutput);
  command->add_flag("--json", arguments->json, "Print one JSON line a picture instead of a table")
      ->group(kOutput);
  command
      ->add_option("--map-format", arguments->map_format,
                   "png: 16 bit, round(65535 x score); npy: float32, exact")
      ->check(CLI::IsMember({"png", "npy"}))
      ->capture_default_str()
      ->group(kOutput);
  command->add_flag("--no-overlays", arguments->no_overlays, "Draw no overlays")->group(kOutput);
  command
      ->add_option("--scale", arguments->scale,
                   "Colours of the overlays: references: one scale for the run, from what good "
                   "references score; auto: one a picture")
      ->check(CLI::IsMember({"references", "auto"}))
      ->capture_default_str()
      ->group(kOutput);
  add_runtime_options(*command, arguments->runtime);
  command->callback([arguments, &exit_code] { exit_code = run_score(*arguments); });
}

}  // namespace nagl::apps
