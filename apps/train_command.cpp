#include "commands.h"
#include "train_arguments.h"

namespace nagl::apps {

void add_train(CLI::App& app, int& exit_code) {
  auto arguments = std::make_shared<TrainArguments>();
  auto* command = app.add_subcommand(
      "train",
      "Learn, on a source domain, how to use pictures of defects in domains never seen before. The "
      "source is one or more categories with defects and masks; the result is a file for `nagl "
      "score --method nagl --model`.\n\n"
      "  nagl train --data source/ --out runs/source\n"
      "  nagl train --data source/ --out runs/p --config configs/published.json --set "
      "trainer.epochs=5\n"
      "  nagl train --out runs/source --resume");
  constexpr const char* kSource = "Source and result";
  command
      ->add_option("--data", arguments->data,
                   "A data set, or a category of one (MVTec AD's layout, VisA, BMAD, Real-IAD, "
                   "plain folders, a manifest); may be repeated. Episodes are drawn from the test "
                   "split")
      ->allow_extra_args(false)
      ->group(kSource);
  command
      ->add_option("--format", arguments->format,
                   "auto, mvtec, visa, bmad, real_iad, folders or manifest (default: auto)")
      ->group(kSource);
  command
      ->add_option("--out", arguments->out,
                   "Folder of this training: model.safetensors, metrics.csv, curve.svg, run.json, "
                   "checkpoints")
      ->required()
      ->group(kSource);
  command
      ->add_option("--store", arguments->store,
                   "Folder of encoded pictures, which several trainings may share (default: "
                   "OUT/features)")
      ->group(kSource);
  command
      ->add_flag("--resume", arguments->resume,
                 "Go on where the training in OUT stopped; its options stand in its run.json")
      ->group(kSource);

  add_recipe_options(*command, arguments->recipe, "configs/published.json", "trainer.epochs=1");
  add_runtime_options(*command, arguments->runtime);
  command->callback([arguments, &exit_code] { exit_code = run_train(*arguments); });
}

}  // namespace nagl::apps
