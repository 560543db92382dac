#include "nagl/jobs/benchmark.h"

#include <fmt/format.h>
#include <fmt/ostream.h>

#include <iostream>
#include <string_view>

#include "commands.h"
#include "console.h"
#include "flags.h"
#include "nagl/core/duration.h"

namespace nagl::apps {
namespace {

struct BenchmarkFlags {
  jobs::BenchmarkOptions options;
  std::optional<ImageSize> image_size;
  std::optional<Precision> precision;
  bool json = false;
};

void line(const std::string& text) { std::cout << text << "\n"; }

void print_parts(const jobs::BenchmarkResult& result) {
  if (result.parts.empty()) return;
  line(fmt::format("{:<18} {:>9} {:>9} {:>9} {:>6}  what", "part", "median ms", "p95 ms", "GFLOP/s",
                   "share"));
  for (const auto& [name, meaning] : result.parts) {
    const Json& entry = result.all["parts"][name];
    const auto optional = [&](const char* key, double factor, const char* unit) {
      return entry.contains(key) ? fmt::format("{:.0f}{}", factor * entry[key].get<double>(), unit)
                                 : std::string();
    };
    line(fmt::format("{:<18} {:>9.2f} {:>9.2f} {:>9} {:>6}  {}", name,
                     entry["median_ms"].get<double>(), entry["p95_ms"].get<double>(),
                     optional("gflop_per_second", 1, ""),
                     optional("share_of_matrix_product", 100, " %"), meaning));
  }
}

void print_batches(const Json& all) {
  if (!all.contains("throughput")) return;
  line("");
  for (const auto& batch : all["throughput"]) {
    const auto number = [&](const char* key) { return batch[key].get<double>(); };
    const std::string share =
        batch.contains("backbone_share_of_matrix_product")
            ? fmt::format(", {:.0f} %", 100 * number("backbone_share_of_matrix_product"))
            : "";
    line(fmt::format("batch {:>3}: {:.2f} pictures/s (backbone alone {:.2f}, {:.0f} GFLOP/s{}){}",
                     batch["batch"].get<std::int64_t>(), number("pictures_per_second"),
                     number("backbone_pictures_per_second"), number("backbone_gflop_per_second"),
                     share, batch["batch"] == all["best_batch"] ? "  best" : ""));
  }
}

void print(const jobs::BenchmarkOptions& options, const jobs::BenchmarkResult& result) {
  const Json& all = result.all;
  line(fmt::format("{}, {}, {} threads", all["device"].get<std::string>(),
                   all["precision"].get<std::string>(), all["threads"].get<int>()));
  line(result.backbone);
  line(fmt::format("{} x {}, {} normal and {} abnormal references", options.image_size.height,
                   options.image_size.width, options.normal_shots, options.abnormal_shots));
  line(fmt::format("{:.1f} M parameters in the backbone, {:.1f} M in the head\n",
                   all["parameters"]["backbone"].get<double>() / 1e6,
                   all["parameters"]["head"].get<double>() / 1e6));
  print_parts(result);
  if (all.contains("ratios")) {
    constexpr std::string_view kOver = "_over_backbone";
    line("");
    for (const auto& [key, ratio] : all["ratios"].items()) {
      line(fmt::format("{} over backbone: {:.3f}", key.substr(0, key.size() - kOver.size()),
                       ratio.get<double>()));
    }
  }
  print_batches(all);
  if (all.contains("training_episodes_per_second")) {
    line(fmt::format("\ntraining: {:.1f} episodes/s; 20 x 500 take {}",
                     all["training_episodes_per_second"].get<double>(),
                     format_duration(all["training_20x500_seconds"].get<double>())));
  }
  line(fmt::format(
      "\npeak memory {:.0f} MiB{}", all["peak_memory_mib"].get<double>(),
      all.contains("peak_device_memory_mib")
          ? fmt::format(", of the device {:.0f} MiB", all["peak_device_memory_mib"].get<double>())
          : ""));
}

void run_benchmark(BenchmarkFlags& flags, const jobs::BenchmarkParts& more) {
  if (flags.image_size) flags.options.image_size = *flags.image_size;
  if (flags.precision) flags.options.precision = *flags.precision;
  Console console;
  const jobs::BenchmarkResult result = jobs::benchmark(flags.options, more, console.observer());
  console.clear();
  if (flags.json) {
    fmt::print(std::cout, "{}\n", dump_json(result.all, 2));
  } else {
    print(flags.options, result);
  }
}

}  // namespace

void add_benchmark(CLI::App& app, const jobs::BenchmarkParts& more) {
  auto flags = std::make_shared<BenchmarkFlags>();
  jobs::BenchmarkOptions& options = flags->options;
  auto* command = app.add_subcommand(
      "benchmark",
      "Measure the speed of everything on this machine: the parts of a query and the whole, "
      "batches, training, memory, and how much of the processor's matrix products is reached. "
      "Parts are taken in turn, after a warm-up; times are medians.\n\n"
      "  nagl benchmark\n"
      "  nagl benchmark --random-weights --device cuda --precision bfloat16 --json\n"
      "  nagl benchmark --parts backbone,query --layer 11 --seconds 60");
  constexpr const char* kWhat = "What is measured";
  command->add_option("--normal-shots", options.normal_shots, "Normal references of the query")
      ->check(CLI::Range(1, 10000))
      ->capture_default_str()
      ->group(kWhat);
  command->add_option("--abnormal-shots", options.abnormal_shots, "Abnormal references of it")
      ->check(CLI::Range(1, 1000))
      ->capture_default_str()
      ->group(kWhat);
  command
      ->add_flag("--random-weights", options.random_weights,
                 "Measure a ViT-S/14 with random weights: no backbone file is needed")
      ->group(kWhat);
  command
      ->add_option("--picture", options.picture,
                   "Picture that is decoded (default: one of 1024 x 1024 is made)")
      ->group(kWhat);
  command
      ->add_option("--parts", options.parts,
                   "Only these, of the names that the table has in its first column; throughput "
                   "and training are such names too")
      ->delimiter(',')
      ->group(kWhat);
  constexpr const char* kHow = "How";
  command
      ->add_option("--seconds", options.seconds, "Time for the parts; there are at least 5 rounds")
      ->check(real_range(0.0, 3600.0))
      ->capture_default_str()
      ->group(kHow);
  command->add_option("--rounds", options.rounds, "Exactly so many rounds, whatever they take")
      ->check(CLI::Range(1, 100000))
      ->group(kHow);
  command->add_flag("--json", flags->json, "Print JSON")->group(kHow);
  add_backbone_flags(*command, options.runtime, options.layer, flags->image_size, flags->precision);
  command->callback([flags, more] { run_benchmark(*flags, more); });
}

}  // namespace nagl::apps
