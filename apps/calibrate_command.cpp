#include "calibrate_arguments.h"
#include "commands.h"

namespace nagl::apps {

void add_calibrate(CLI::App& app, int& exit_code) {
  auto arguments = std::make_shared<CalibrateArguments>();
  auto* command = app.add_subcommand(
      "calibrate",
      "Choose thresholds for a bank, so that nagl score can say normal or anomalous, and list "
      "regions.\nA picture that is one of the bank's references is scored with itself left out.\n\n"
      "  nagl calibrate --bank part.safetensors\n"
      "  nagl calibrate --bank part.safetensors --normal more_good/ --abnormal known_defects/\n");
  command->add_option("--bank", arguments->bank, "A bank that nagl enroll wrote")->required();
  command
      ->add_option("--normal", arguments->normal,
                   "Good pictures, in the bank or not (default: the bank's own, from where they "
                   "were enrolled); may be repeated")
      ->allow_extra_args(false);
  command
      ->add_option("--abnormal", arguments->abnormal, "Pictures of known defects; may be repeated")
      ->allow_extra_args(false);
  auto* rate = command
                   ->add_option("--false-alarm-rate", arguments->options.false_alarm_rate,
                                "Share of good pictures that may be called anomalous")
                   ->capture_default_str();
  command
      ->add_flag("--best-f1", arguments->best_f1,
                 "Rather the threshold that tells the known defects from the good pictures best")
      ->excludes(rate);
  command->add_flag("--json", arguments->json, "Print the calibration as JSON");
  add_runtime_options(*command, arguments->runtime);
  command->callback([arguments, &exit_code] { exit_code = run_calibrate(*arguments); });
}

}  // namespace nagl::apps
