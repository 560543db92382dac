// Trains on one domain and evaluates on another: what `nagl train` and `nagl evaluate` do, inside a
// program of one's own.
//
//   train_and_evaluate SOURCE TARGET OUT

#include <nagl/core/error.h>
#include <nagl/evaluation/report.h>
#include <nagl/jobs/evaluate_on.h>
#include <nagl/jobs/train_on.h>

#include <iostream>

int main(int argc, char** argv) try {
  if (argc != 4) {
    std::cerr << "usage: train_and_evaluate SOURCE TARGET OUT\n";
    return 2;
  }
  const std::filesystem::path out = argv[3];
  nagl::jobs::TrainRequest training;
  training.data = {argv[1]};
  training.out = out / "training";
  training.settings = {"trainer.epochs=2", "trainer.episodes_per_epoch=40"};  // a short one
  training.resume = true;  // a second run goes on where the first was stopped
  nagl::jobs::TrainObserver observer;
  observer.message = [](nagl::jobs::Level, const std::string& text) { std::cerr << text << "\n"; };
  observer.epoch = [](const nagl::EpochRecord& record, std::int64_t epochs) {
    std::cerr << "epoch " << record.epoch << " of " << epochs << ": loss " << record.loss << "\n";
  };
  const auto trained = nagl::jobs::train_on(training, observer);

  nagl::jobs::EvaluateRequest evaluation;
  evaluation.data = {argv[2]};
  evaluation.model = trained.model;
  evaluation.out = out / "evaluation";
  evaluation.seeds = 1;
  evaluation.resume = true;
  const auto result = nagl::jobs::evaluate_on(evaluation, observer);
  std::cout << nagl::text_table(result.categories) << "report: " << result.report.string() << "\n";
} catch (const nagl::Error& error) {
  std::cerr << error.what() << "\n";
  return 1;
}
