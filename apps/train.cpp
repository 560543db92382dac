#include <fmt/format.h>
#include <fmt/ostream.h>
#include <spdlog/spdlog.h>

#include <iostream>

#include "commands.h"
#include "console.h"
#include "nagl/core/duration.h"
#include "nagl/jobs/train_on.h"
#include "picture_flags.h"

namespace nagl::apps {
namespace {

std::string percent(double fraction) { return fmt::format("{:.2f} %", 100 * fraction); }

std::string describe(const ValidationMetrics& metrics) {
  return fmt::format("image AUROC {}, pixel AUROC {}, PRO {}", percent(metrics.image_auroc),
                     percent(metrics.pixel_auroc), percent(metrics.pro));
}

void log_epoch(const EpochRecord& record, std::int64_t epochs) {
  const std::string validation = record.validation
                                     ? fmt::format("; held out: {}{}", describe(*record.validation),
                                                   record.best ? ", best" : "")
                                     : "";
  spdlog::info(
      "epoch {}/{}: loss {:.4f} (classification {:.4f}, focal {:.4f}, Dice {:.4f}), {:.1f} "
      "episodes/s{}",
      record.epoch, epochs, record.loss, record.classification, record.focal, record.dice,
      record.episodes_per_second, validation);
}

void print_result(const jobs::TrainResult& result) {
  if (result.encoded_only) {
    fmt::print(std::cout, "all pictures are encoded; shard 0 trains\n");
    return;
  }
  const EpochRecord &first = result.history.front(), &last = result.history.back();
  double seconds = 0;
  for (const auto& record : result.history) seconds += record.seconds;
  fmt::print(std::cout, "trained {} epochs in {}: loss {:.4f} -> {:.4f}\n", last.epoch,
             format_duration(seconds), first.loss, last.loss);
  if (result.best) {
    fmt::print(std::cout, "best epoch {}, on held-out source pictures: {}\n", result.best->epoch,
               describe(*result.best->validation));
  }
  fmt::print(std::cout, "model: {}\ncurve: {}\n", result.model.string(), result.curve.string());
}

void run_train(const jobs::TrainRequest& request) {
  Console console;
  auto observer = console.observer<jobs::TrainObserver>();
  observer.epoch = [&](const EpochRecord& record, std::int64_t epochs) {
    console.clear();
    log_epoch(record, epochs);
  };
  const jobs::TrainResult result = jobs::train_on(request, observer);
  console.clear();
  print_result(result);
}

}  // namespace

void add_train(CLI::App& app, int&) {
  auto request = std::make_shared<jobs::TrainRequest>();
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
      ->add_option("--data", request->data,
                   "A data set, or a category of one (MVTec AD, MVTec AD 2, VisA, BMAD, Real-IAD, "
                   "plain folders, a manifest); may be repeated. Episodes are drawn from the test "
                   "split")
      ->allow_extra_args(false)
      ->group(kSource);
  add_parsed_option(*command, "--format", request->format,
                    listed_names<DatasetFormat>() + " (default: auto)")
      ->group(kSource);
  command
      ->add_option("--modality", request->modality,
                   "Of BraTS' volumes: flair, t1, t1ce or t2 (default: flair)")
      ->group(kSource);
  command
      ->add_option("--out", request->out,
                   "Folder of this training: model.safetensors, metrics.csv, curve.svg, run.json, "
                   "checkpoints")
      ->required()
      ->group(kSource);
  command
      ->add_option("--store", request->store,
                   "Folder of encoded pictures, which several trainings may share (default: "
                   "OUT/features)")
      ->group(kSource);
  command
      ->add_flag("--resume", request->resume,
                 "Go on where the training in OUT stopped; its options stand in its run.json")
      ->group(kSource);
  add_experiment_flags(*command, request->config, request->settings, "configs/published.json",
                       "trainer.epochs=1");
  add_shard_flags(*command, request->sharding, request->runtime, false);
  add_backbone_flags(*command, request->runtime, request->encoding);
  command->callback([request] { run_train(*request); });
}

}  // namespace nagl::apps
