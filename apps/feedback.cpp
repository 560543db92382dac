#include "nagl/jobs/feedback.h"

#include <fmt/format.h>
#include <fmt/ostream.h>

#include <algorithm>
#include <iostream>

#include "commands.h"
#include "console.h"
#include "exit_code.h"
#include "picture_flags.h"

namespace nagl::apps {
namespace {

std::string score_text(const std::optional<double>& score, Verdict verdict) {
  if (!score) return "-";
  return verdict == Verdict::kUnknown ? fmt::format("{:.4f}", *score)
                                      : fmt::format("{:.4f} {}", *score, to_string(verdict));
}

void print_result(const jobs::FeedbackOptions& options, const jobs::FeedbackResult& result) {
  std::size_t widest = 7;
  for (const auto& picture : result.pictures) widest = std::max(widest, picture.path.size());
  fmt::print(std::cout, "{:<{}}  is    before            after\n", "picture", widest);
  std::size_t before = 0, after = 0, judged = 0;
  for (const auto& picture : result.pictures) {
    fmt::print(std::cout, "{:<{}}  {:<4}  {:<16}  {:<16}{}\n", picture.path, widest,
               picture.anomalous ? "bad" : "good", score_text(picture.score_before, picture.before),
               score_text(picture.score_after, picture.after), picture.learnt ? "  learnt" : "");
    if (!picture.score_before || !picture.score_after) continue;
    ++judged;
    before += picture.right_before();
    after += picture.right_after();
  }
  const std::string file = options.bank.string();
  if (result.calibration) {
    fmt::print(std::cout, "\nright before {} of {}, now {}; anomalous above {:.4f}\n", before,
               judged, after, result.calibration->image_threshold);
  } else {
    fmt::print(std::cout, "\nno verdicts: nagl calibrate --bank {}\n", file);
  }
  if (!result.kept) {
    fmt::print(std::cout,
               "{} decisions that were right would be wrong: not kept. --force keeps it\n",
               result.worse);
  } else if (result.changed) {
    fmt::print(std::cout,
               "{}: {} references and {} defects more{}; nagl bank undo {} takes that back\n", file,
               result.references, result.defects,
               result.corrected > 0 ? fmt::format(", {} taken out", result.corrected) : "", file);
  } else {
    fmt::print(std::cout, "{}: nothing to learn; what was decided is remembered\n", file);
  }
}

}  // namespace

void add_feedback(CLI::App& app, int& exit_code) {
  auto options = std::make_shared<jobs::FeedbackOptions>();
  auto json = std::make_shared<bool>(false);
  auto* command = app.add_subcommand(
      "feedback",
      "Make a bank learn from its mistakes: good pictures that it calls anomalous become "
      "references, bad ones that it calls normal become pictures of defects, and the thresholds "
      "are chosen again. Shows what it says of all pictures that were decided so far, before and "
      "after; a change by which it would be wrong where it was right is not kept.\n\n"
      "  nagl feedback part.safetensors decisions.json         saved by a report of nagl score\n"
      "  nagl feedback part.safetensors --good ok.png --bad scratch.png --masks masks/\n"
      "  nagl bank undo part.safetensors                       takes it back\n");
  command->add_option("bank", options->bank, "A bank that nagl enroll wrote")->required();
  command->add_option("decisions", options->decisions,
                      "A file that the report of nagl score saved");
  command->add_option("--good", options->good, "Good pictures, or folders of them; may be repeated")
      ->allow_extra_args(false);
  command->add_option("--bad", options->bad, "Pictures of defects; may be repeated")
      ->allow_extra_args(false);
  command->add_option("--masks", options->masks,
                      "Where the defects of --bad are, as for nagl enroll. Without it they are "
                      "derived, and only what is good around them is learnt");
  command->add_flag_callback(
      "--best-f1", [options] { options->rule = ThresholdRule::kBestF1; },
      "From now on, thresholds that tell defects from good pictures best, once one is known: fewer "
      "mistakes in all, more of them false alarms (default: as they were chosen)");
  command->add_flag(
      "--hot-patches", options->hot_patches,
      "Of a false alarm learn only the patches that caused it, so that the bank grows "
      "little. Calibrating needs the bank's pictures then");
  command->add_flag("--force", options->force,
                    "Keep a change by which earlier decisions would be wrong");
  add_history_flag(*command, options->keep);
  command->add_flag("--json", *json, "Print JSON");
  add_backbone_flags(*command, options->runtime, options->encoding);
  command->callback([options, json, &exit_code] {
    Console console;
    const jobs::FeedbackResult result = jobs::give_feedback(*options, console.observer());
    console.clear();
    if (*json) {
      std::cout << dump_json(result.json(), 2) << "\n";
    } else {
      print_result(*options, result);
    }
    if (!result.kept) exit_code = kNotKept;
  });
}

}  // namespace nagl::apps
