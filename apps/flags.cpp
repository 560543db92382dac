#include "flags.h"

namespace nagl::apps {

void add_backbone_flags(CLI::App& command, jobs::RuntimeOptions& runtime,
                        std::optional<std::int64_t>& layer, std::optional<ImageSize>& image_size,
                        std::optional<Precision>& precision) {
  constexpr const char* kGroup = "Backbone and device";
  command
      .add_option("--backbone", runtime.backbone,
                  "Backbone file (default: $NAGL_BACKBONE, else the one scripts/setup.sh fetched)")
      ->group(kGroup);
  command
      .add_option("--layer", layer,
                  "Block whose features are used, from 0 (default: what the backbone file "
                  "recommends)")
      ->group(kGroup);
  add_parsed_option(command, "--image-size", image_size,
                    "Size at which pictures enter the network, N or HxW, multiples of 14; pictures "
                    "are resized to it whatever their proportions")
      ->default_str("448")
      ->group(kGroup);
  command.add_option("--device", runtime.device, "auto, cpu, cuda or cuda:N")
      ->capture_default_str()
      ->group(kGroup);
  add_parsed_option(
      command, "--precision", precision,
      "float32, bfloat16 or float16: bfloat16 pays on GPUs and on CPUs with AVX512-BF16 or "
      "AMX, float16 on GPUs")
      ->default_str("float32")
      ->group(kGroup);
  command.add_option("--threads", runtime.threads, "CPU threads (default: one a physical core)")
      ->check(CLI::Range(1, 1024))
      ->group(kGroup);
  command
      .add_option("--batch-size", runtime.batch_size,
                  "Pictures a backbone pass (default: 1 on the CPU, " +
                      std::to_string(jobs::kCudaBatch) + " on CUDA)")
      ->check(CLI::Range(1, 4096))
      ->group(kGroup);
}

}  // namespace nagl::apps
