#include "commands.h"
#include "enroll_arguments.h"

namespace nagl::apps {

void add_enroll(CLI::App& app, int& exit_code) {
  auto arguments = std::make_shared<EnrollArguments>();
  auto* command = app.add_subcommand(
      "enroll",
      "Encode references once, into one file that holds all that scoring needs beside the "
      "backbone.\n\n"
      "  nagl enroll --normal good/ --out part.safetensors\n"
      "  nagl score --bank part.safetensors --out result/ new/\n"
      "  nagl enroll --add --normal more/ --out part.safetensors    adds pictures to it\n"
      "  nagl enroll --normal good/ --abnormal bad/ --method nagl --model "
      "runs/source/model.safetensors\n    --out part.safetensors\n");
  command->add_option("--out", arguments->out, "The bank, e.g. part.safetensors")->required();
  command->add_flag("--add", arguments->add,
                    "Add to the bank that --out names, without encoding its pictures again; those "
                    "that it holds already are left alone. A calibration is void then");
  command->add_flag("--overwrite", arguments->overwrite, "Replace the file that --out names");
  add_reference_options(*command, arguments->references);
  command
      ->add_option(
          "--derived-masks", arguments->derived_masks,
          "Without --masks: folder for the derived ones, and in check/ pictures to approve "
          "them by (default: the bank's name with -masks)")
      ->group("References");
  add_runtime_options(*command, arguments->runtime);
  command->callback([arguments, &exit_code] { exit_code = run_enroll(*arguments); });
}

}  // namespace nagl::apps
