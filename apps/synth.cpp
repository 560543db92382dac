#include <fmt/format.h>
#include <fmt/ostream.h>
#include <fmt/ranges.h>

#include <iostream>

#include "commands.h"
#include "console.h"
#include "nagl/jobs/synthesize.h"

namespace nagl::apps {
namespace {

void run_synth(const std::filesystem::path& out, const SyntheticOptions& options) {
  Console console;
  auto observer = console.observer();
  jobs::synthesize(out, options, observer);
  console.clear();
  for (const auto& domain : synthetic_domains()) {
    fmt::print(std::cout, "{}\n", (out / domain.name).string());
    for (const auto& category : domain.categories) {
      fmt::print(std::cout, "  {:<10} defects: {}\n", category, fmt::join(domain.defects, ", "));
    }
  }
}

}  // namespace

void add_synth(CLI::App& app, int&) {
  auto out = std::make_shared<std::filesystem::path>();
  auto options = std::make_shared<SyntheticOptions>();
  auto* command = app.add_subcommand(
      "synth",
      "Make a data set to try nagl on: procedural pictures of two domains that look nothing alike, "
      "with defects and their masks, in MVTec layout. The same --seed gives the same pictures.");
  command->add_option("--out", *out, "Folder to write to")->required();
  command->add_option("--seed", options->seed, "Seed of the pictures")->capture_default_str();
  command->add_option("--size", options->size, "Height and width of a picture in pixels")
      ->capture_default_str();
  command->add_option("--train-good", options->train_good, "Good pictures a category to learn from")
      ->capture_default_str();
  command->add_option("--test-good", options->test_good, "Good pictures a category to test on")
      ->capture_default_str();
  command
      ->add_option("--test-defect", options->test_defect,
                   "Defective pictures a category and defect type")
      ->capture_default_str();
  command->callback([out, options] { run_synth(*out, *options); });
}

}  // namespace nagl::apps
