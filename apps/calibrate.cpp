#include "nagl/jobs/calibrate.h"

#include <fmt/format.h>
#include <fmt/ostream.h>

#include <iostream>

#include "commands.h"
#include "console.h"
#include "nagl/core/options.h"
#include "picture_flags.h"

namespace nagl::apps {
namespace {

void run_calibrate(const jobs::CalibrateOptions& options, bool json) {
  Console console;
  const Calibration calibration = jobs::calibrate(options, console.observer());
  console.clear();
  if (json) {
    std::cout << dump_json(option_to_json(calibration), 2) << "\n";
    return;
  }
  fmt::print(std::cout,
             "{}: anomalous above an image score of {:.4f}; regions above {:.4f} of the map\n",
             options.bank.string(), calibration.image_threshold, calibration.map_threshold);
  if (calibration.uncertain_threshold) {
    fmt::print(std::cout, "  with --uncertain: uncertain above {:.4f}\n",
               *calibration.uncertain_threshold);
  }
  for (const auto& sentence : trust_in(calibration)) fmt::print(std::cout, "  {}\n", sentence);
}

}  // namespace

void add_calibrate(CLI::App& app, int&) {
  auto options = std::make_shared<jobs::CalibrateOptions>();
  auto json = std::make_shared<bool>(false);
  auto* command = app.add_subcommand(
      "calibrate",
      "Choose thresholds for a bank, so that nagl score can say normal or anomalous, and list "
      "regions.\nA picture that is one of the bank's references is scored with itself left out.\n\n"
      "  nagl calibrate --bank part.safetensors\n"
      "  nagl calibrate --bank part.safetensors --normal more_good/ --abnormal known_defects/\n");
  command->add_option("--bank", options->bank, "A bank that nagl enroll wrote")->required();
  command
      ->add_option("--normal", options->normal,
                   "Good pictures, in the bank or not (default: the bank's own); may be repeated")
      ->allow_extra_args(false);
  command->add_option("--abnormal", options->abnormal, "Pictures of known defects; may be repeated")
      ->allow_extra_args(false);
  auto* rate =
      command
          ->add_option("--false-alarm-rate", options->calibration.false_alarm_rate,
                       "Share of good pictures that may be called anomalous. Between the "
                       "threshold and a lower one, which ten times as many exceed (or which "
                       "tells the bank's defects best), nagl score --uncertain is not sure")
          ->capture_default_str();
  command
      ->add_flag_callback(
          "--best-f1", [options] { options->calibration.rule = ThresholdRule::kBestF1; },
          "Rather the threshold that tells defects from good pictures best: those of --abnormal, "
          "or the bank's")
      ->excludes(rate);
  add_history_flag(*command, options->keep);
  command->add_flag("--json", *json, "Print the calibration as JSON");
  add_backbone_flags(*command, options->runtime, options->encoding);
  command->callback([options, json] { run_calibrate(*options, *json); });
}

}  // namespace nagl::apps
