#include "nagl/jobs/enroll.h"

#include <fmt/format.h>
#include <fmt/ostream.h>

#include <iostream>

#include "commands.h"
#include "console.h"
#include "picture_flags.h"

namespace nagl::apps {
namespace {

void run_enroll(const jobs::EnrollOptions& options) {
  Console console;
  const jobs::EnrollResult made = jobs::enroll(options, console.observer());
  console.clear();
  const std::string file = options.out.string();
  fmt::print(std::cout, "{}: {} normal picture{}", file, made.normal, made.normal == 1 ? "" : "s");
  if (made.abnormal > 0) fmt::print(std::cout, ", {} of defects", made.abnormal);
  fmt::print(std::cout, ", {} patches, {:.1f} MB, method {} ({:.1f} s)\n", made.patches,
             made.megabytes, to_string(made.method), made.seconds);
  fmt::print(std::cout,
             "next: nagl score --bank {0} PICTURES, or first nagl calibrate --bank {0}\n", file);
}

void add_size_option(CLI::App& command, std::optional<std::int64_t>& size) {
  command
      .add_option(
          "--max-size", size,
          "Let the bank's file never grow beyond this, whatever is added to it, e.g. 200MB: "
          "once it is full, patches least unlike the others are forgotten, and the oldest "
          "pictures become one entry. For banks that learn for years")
      ->transform(CLI::AsSizeValue(/*kb_is_1000=*/true))
      ->default_str("as much as it takes")
      ->group("References");
}

}  // namespace

void add_enroll(CLI::App& app, int&) {
  auto options = std::make_shared<jobs::EnrollOptions>();
  auto* command = app.add_subcommand(
      "enroll",
      "Encode references once, into one file that holds all that scoring needs beside the "
      "backbone.\n\n"
      "  nagl enroll --normal good/ --out part.safetensors\n"
      "  nagl score --bank part.safetensors --out result/ new/\n"
      "  nagl enroll --add --normal more/ --out part.safetensors    adds pictures to it\n"
      "  nagl enroll --normal good/ --abnormal bad/ --masks bad_masks/ --out part.safetensors\n");
  command->add_option("--out", options->out, "The bank, e.g. part.safetensors")->required();
  command->add_flag("--add", options->add,
                    "Add to the bank that --out names, without encoding its pictures again; those "
                    "that it holds already are left alone. A calibration is void then");
  command->add_flag("--overwrite", options->overwrite, "Replace the file that --out names");
  add_history_flag(*command, options->keep);
  add_picture_flags(*command, options->pictures);
  command
      ->add_option("--roi", options->roi,
                   "A mask of where to look in all pictures, references and queries alike: patches "
                   "outside do not count, and nagl score needs no --roi")
      ->group("References");
  add_bank_flags(*command, options->request);
  add_size_option(*command, options->request.references.max_size);
  command
      ->add_option(
          "--derived-masks", options->derived_masks,
          "Without --masks: folder for the derived ones, and in check/ pictures to approve "
          "them by (default: the bank's name with -masks)")
      ->group("References");
  add_shard_flags(*command, options->sharding, options->runtime, true);
  add_backbone_flags(*command, options->runtime, options->request.encoding);
  command->callback([options] { run_enroll(*options); });
}

}  // namespace nagl::apps
