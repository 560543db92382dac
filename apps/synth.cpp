#include <fmt/format.h>
#include <fmt/ostream.h>

#include <filesystem>
#include <iostream>

#include "commands.h"
#include "nagl/core/progress.h"
#include "nagl/dataset/synthetic.h"

namespace nagl::apps {
namespace {

struct SynthArguments {
  std::filesystem::path out;
  SyntheticOptions options;
};

void run_synth(const SynthArguments& arguments) {
  std::unique_ptr<Progress> progress;
  write_synthetic_dataset(arguments.out, arguments.options,
                          [&](std::int64_t done, std::int64_t total) {
                            if (!progress) progress = std::make_unique<Progress>("drawing", total);
                            progress->update(done);
                          });
  progress.reset();
  for (const auto& domain : synthetic_domains()) {
    fmt::print(std::cout, "{}\n", (arguments.out / domain.name).string());
    for (const auto& category : domain.categories) {
      fmt::print(std::cout, "  {:<10} defects: {}\n", category, fmt::join(domain.defects, ", "));
    }
  }
}

}  // namespace

void add_synth(CLI::App& app, int&) {
  auto arguments = std::make_shared<SynthArguments>();
  auto& options = arguments->options;
  auto* command = app.add_subcommand(
      "synth",
      "Make a data set to try nagl on: procedural pictures of two domains that look nothing alike, "
      "with defects and their masks, in MVTec layout. The same --seed gives the same pictures.");
  command->add_option("--out", arguments->out, "Folder to write to")->required();
  command->add_option("--seed", options.seed, "Seed of the pictures")->capture_default_str();
  command->add_option("--size", options.size, "Height and width of a picture in pixels")
      ->capture_default_str();
  command->add_option("--train-good", options.train_good, "Good pictures a category to learn from")
      ->capture_default_str();
  command->add_option("--test-good", options.test_good, "Good pictures a category to test on")
      ->capture_default_str();
  command
      ->add_option("--test-defect", options.test_defect,
                   "Defective pictures a category and defect type")
      ->capture_default_str();
  command->callback([arguments] { run_synth(*arguments); });
}

}  // namespace nagl::apps
