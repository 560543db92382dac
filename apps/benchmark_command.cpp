#include "benchmark.h"
#include "commands.h"

namespace nagl::apps {

void add_benchmark(CLI::App& app, int& exit_code) {
  auto arguments = std::make_shared<BenchmarkArguments>();
  auto* command = app.add_subcommand(
      "benchmark",
      "Measure the speed of everything on this machine: the parts of a query and the whole, "
      "batches, training, memory, and how much of the processor's matrix products is reached. "
      "Parts are taken in turn, after a warm-up; times are medians.\n\n"
      "  nagl benchmark\n"
      "  nagl benchmark --random-weights --device cuda --precision bfloat16 --json\n"
      "  nagl benchmark --parts backbone,query --layer 11 --seconds 60");
  constexpr const char* kWhat = "What is measured";
  command->add_option("--normal-shots", arguments->normal_shots, "Normal references of the query")
      ->check(CLI::Range(1, 10000))
      ->capture_default_str()
      ->group(kWhat);
  command->add_option("--abnormal-shots", arguments->abnormal_shots, "Abnormal references of it")
      ->check(CLI::Range(1, 1000))
      ->capture_default_str()
      ->group(kWhat);
  command
      ->add_flag("--random-weights", arguments->random_weights,
                 "Measure a ViT-S/14 with random weights: no backbone file is needed")
      ->group(kWhat);
  command
      ->add_option("--picture", arguments->picture,
                   "Picture that is decoded (default: one of 1024 x 1024 is made)")
      ->group(kWhat);
  command
      ->add_option("--parts", arguments->parts,
                   "Only these, of the names that the table has in its first column; throughput "
                   "and training are such names too")
      ->delimiter(',')
      ->group(kWhat);
  constexpr const char* kHow = "How";
  command
      ->add_option("--seconds", arguments->seconds,
                   "Time for the parts; there are at least 5 rounds")
      ->check(CLI::Range(0.0, 3600.0))
      ->capture_default_str()
      ->group(kHow);
  command->add_option("--rounds", arguments->rounds, "Exactly so many rounds, whatever they take")
      ->check(CLI::Range(1, 100000))
      ->group(kHow);
  command->add_flag("--json", arguments->json, "Print JSON")->group(kHow);
  add_runtime_options(*command, arguments->runtime);
  command->callback([arguments, &exit_code] { exit_code = run_benchmark(*arguments); });
}

}  // namespace nagl::apps
