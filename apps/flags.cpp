#include "flags.h"

namespace nagl::apps {

namespace {

constexpr const char* kGroup = "Backbone and device";

void add_backbone_flag(CLI::App& command, jobs::RuntimeOptions& runtime) {
  command
      .add_option("--backbone", runtime.backbone,
                  "Backbone file (default: $NAGL_BACKBONE, else the one scripts/setup.sh fetched)")
      ->group(kGroup);
}

void add_device_flag(CLI::App& command, jobs::RuntimeOptions& runtime) {
  command.add_option("--device", runtime.device, "auto, cpu, cuda or cuda:N")
      ->capture_default_str()
      ->group(kGroup);
}

void add_thread_flags(CLI::App& command, jobs::RuntimeOptions& runtime) {
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

}  // namespace

void add_runtime_flags(CLI::App& command, jobs::RuntimeOptions& runtime) {
  add_backbone_flag(command, runtime);
  add_device_flag(command, runtime);
  add_thread_flags(command, runtime);
}

void add_precision_flag(CLI::App& command, std::optional<Precision>& precision) {
  add_parsed_option(
      command, "--precision", precision,
      "float32, bfloat16, float16 or auto: bfloat16 pays on GPUs and on CPUs with AVX512-BF16 or "
      "AMX, float16 on GPUs; auto takes bfloat16 on GPUs and with AMX, else float32")
      ->default_str("float32")
      ->group(kGroup);
}

void add_shard_flags(CLI::App& command, jobs::ShardRequest& sharding, jobs::RuntimeOptions& runtime,
                     bool merges) {
  constexpr const char* kShards = "Several processes";
  add_text_option(
      command, "--shard",
      [&](const std::string& text) {
        sharding.shard = parse_shard(text);
        runtime.local_rank = sharding.shard->local_rank;
      },
      "Work together with other nagl processes that were started alike, on this machine or others "
      "that see the same folders: I/N, from 0/N to (N-1)/N, or auto, by the variables of torchrun, "
      "MPI, Slurm or Kubernetes (docs/deployment.md)")
      ->group(kShards);
  command
      .add_option("--lease", sharding.lease,
                  "Seconds without a sign of life after which another shard counts as dead and its "
                  "work is done again")
      ->check(real_range(1, 86400))
      ->capture_default_str()
      ->group(kShards);
  if (!merges) return;
  command
      .add_flag("--merge", sharding.merge,
                "Only put together what shards did, which the last of them does too")
      ->group(kShards);
}

void add_history_flag(CLI::App& command, std::size_t& keep) {
  command
      .add_option("--keep", keep,
                  "Earlier generations of the bank to keep beside it, for nagl bank undo")
      ->check(CLI::Range(0, 1000000))
      ->capture_default_str();
}

void add_backbone_flags(CLI::App& command, jobs::RuntimeOptions& runtime,
                        std::optional<std::int64_t>& layer, std::optional<ImageSize>& image_size,
                        std::optional<Precision>& precision) {
  add_backbone_flag(command, runtime);
  command
      .add_option("--layer", layer,
                  "Block whose features are used, from 0 (default: what the backbone file "
                  "recommends)")
      ->group(kGroup);
  add_parsed_option(
      command, "--image-size", image_size,
      "Size at which pictures enter the network, N or HxW, multiples of the backbone's "
      "patch (14 of DINOv2, 16 of DINOv3); pictures are resized to it whatever their "
      "proportions")
      ->default_str("448")
      ->group(kGroup);
  add_device_flag(command, runtime);
  add_precision_flag(command, precision);
  add_thread_flags(command, runtime);
}

}  // namespace nagl::apps
