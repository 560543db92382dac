#include "runtime_options.h"

#include <CLI/CLI.hpp>
#include <string>

namespace nagl::apps {

void add_runtime_options(CLI::App& command, RuntimeOptions& options) {
  constexpr const char* kGroup = "Backbone and device";
  command
      .add_option("--backbone", options.backbone,
                  "Backbone file (default: $NAGL_BACKBONE, else the one scripts/setup.sh fetched)")
      ->group(kGroup);
  command
      .add_option("--layer", options.layer,
                  "Block whose features are used, from 0 (default: what the backbone file "
                  "recommends)")
      ->group(kGroup);
  command
      .add_option("--image-size", options.image_size,
                  "Size at which pictures enter the network, N or HxW, multiples of 14; pictures "
                  "are resized to it whatever their proportions")
      ->default_str(kDefaultImageSize)
      ->group(kGroup);
  command.add_option("--device", options.device, "auto, cpu, cuda or cuda:N")
      ->capture_default_str()
      ->group(kGroup);
  command
      .add_option(
          "--precision", options.precision,
          "float32, bfloat16 or float16: bfloat16 pays on GPUs and on CPUs with AVX512-BF16 or "
          "AMX, float16 on GPUs")
      ->default_str(kDefaultPrecision)
      ->group(kGroup);
  command.add_option("--threads", options.threads, "CPU threads (default: one a physical core)")
      ->check(CLI::Range(1, 1024))
      ->group(kGroup);
  command
      .add_option("--batch-size", options.batch_size,
                  "Pictures a backbone pass (default: 1 on the CPU, " + std::to_string(kCudaBatch) +
                      " on CUDA)")
      ->check(CLI::Range(1, 4096))
      ->group(kGroup);
}

}  // namespace nagl::apps
