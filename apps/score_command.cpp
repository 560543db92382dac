#include "commands.h"
#include "score_arguments.h"

namespace nagl::apps {

void add_score(CLI::App& app, int& exit_code) {
  auto arguments = std::make_shared<ScoreArguments>();
  auto* command = app.add_subcommand(
      "score",
      "Score pictures against reference folders or a bank: for each an image score, an anomaly map "
      "and an overlay; with a calibrated bank a verdict and regions too.\n\n"
      "  nagl score --normal good/ --out result/ new/\n"
      "  nagl score --normal good/ --abnormal bad/ --masks bad_masks/ --method both_nn "
      "new/a.png\n"
      "  nagl score --normal good/ --abnormal bad/ --masks bad_masks/ --method nagl --model "
      "runs/source/model.safetensors new/\n"
      "  nagl score --bank part.safetensors --out result/ new/        a bank of nagl enroll\n"
      "  nagl score --bank part.safetensors --watch inbox/            pictures as they come\n"
      "  find new/ -name '*.png' | nagl score --bank part.safetensors -\n");
  command->add_option("query", arguments->queries,
                      "Pictures, or folders of them (recursively); - reads a list of paths, one a "
                      "line, from standard input");
  command
      ->add_option("--watch", arguments->watch,
                   "Score the pictures of a folder, and further ones as they appear, one JSON line "
                   "each, until interrupted")
      ->group("Queries");
  command
      ->add_option("--settle", arguments->settle,
                   "Seconds that a watched file must not have changed before it counts as complete")
      ->check(CLI::Range(0.1, 3600.0))
      ->capture_default_str()
      ->group("Queries");
  command
      ->add_option("--roi", arguments->roi,
                   "Where to look: a mask picture for all queries, or a folder of them matched by "
                   "stem; patches outside do not count")
      ->group("Queries");
  command
      ->add_option(
          "--bank", arguments->bank,
          "References and settings from a bank that nagl enroll wrote, instead of --normal")
      ->group("References");
  add_reference_options(*command, arguments->references);

  constexpr const char* kOutput = "Output";
  command
      ->add_option(
          "--out", arguments->out,
          "Folder for maps/, overlays/, report.html, results.jsonl, results.csv, regions.csv "
          "and run.json (without it: scores only)")
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
  command->add_flag("--no-report", arguments->no_report, "Write no report.html")->group(kOutput);
  command
      ->add_flag("--sorted", arguments->sorted,
                 "Copy the pictures to OUT/sorted/normal and OUT/sorted/anomalous; needs a "
                 "calibrated bank")
      ->group(kOutput);
  command
      ->add_flag("--fail-on-anomaly", arguments->fail_on_anomaly,
                 "Exit with code 10 if any picture is anomalous; needs a calibrated bank")
      ->group(kOutput);
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
