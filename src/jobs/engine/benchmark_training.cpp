#include <fmt/format.h>

#include <filesystem>

#include "nagl/core/error.h"
#include "nagl/jobs/benchmark.h"
#include "nagl/training/trainer.h"

namespace nagl::jobs {
namespace {

namespace fs = std::filesystem;

/// A folder of its own, removed at the end.
class ScratchFolder {
 public:
  ScratchFolder() {
    std::string pattern = (fs::temp_directory_path() / "nagl-benchmark-XXXXXX").string();
    if (::mkdtemp(pattern.data()) == nullptr) {
      throw DataError("no folder can be made in '" + fs::temp_directory_path().string() +
                      "'; set $TMPDIR to one that can be written");
    }
    path_ = pattern;
  }
  ~ScratchFolder() {
    std::error_code ignored;
    fs::remove_all(path_, ignored);
  }
  ScratchFolder(const ScratchFolder&) = delete;
  ScratchFolder& operator=(const ScratchFolder&) = delete;

  const fs::path& path() const { return path_; }

 private:
  fs::path path_;
};

}  // namespace

double training_rate(const BenchmarkSubject& subject, std::int64_t normal_shots) {
  constexpr std::int64_t kGood = 100, kDefects = 60;  // so that few pairs come twice
  const ScratchFolder folder;
  const std::int64_t width = subject.backbone->width(), patch = subject.backbone->patch();
  const std::int64_t patches = subject.grid.size();
  FeatureStore store(folder.path() / "features",
                     {subject.grid, width, patch, StoreType::kFloat16, {}, {}});
  std::vector<SourcePicture> pictures;
  std::vector<std::string> keys;
  std::vector<std::int64_t> indices;
  for (std::int64_t i = 0; i < kGood + kDefects; ++i) {
    PictureMasks masks;
    if (i >= kGood) {
      masks.patches = at::zeros({patches}, at::kBool);
      const std::int64_t marked = std::max<std::int64_t>(1, patches / 20);
      masks.patches.slice(0, i % (patches - marked), i % (patches - marked) + marked).fill_(true);
      masks.network = masks.patches.reshape({subject.grid.rows, subject.grid.columns})
                          .repeat_interleave(patch, 0)
                          .repeat_interleave(patch, 1)
                          .to(at::kByte);
    }
    pictures.push_back({"made up", i < kGood ? "" : "defect", fmt::format("{:03}", i), {}});
    keys.push_back(fmt::format("{:03}", i));
    indices.push_back(i);
    store.put(keys.back(), pictures.back(), torch::randn({patches, width}), masks);
  }
  TrainerOptions options;
  options.epochs = 2;  // the first warms up
  options.episodes_per_epoch = 160;
  EpisodeLoader loader(store, pictures, keys, subject.head->options().residual_metric,
                       static_cast<std::uint64_t>(options.neighbor_cache_mb) << 20,
                       subject.backbone->device());
  EpisodeOptions episodes;
  episodes.normal_shots = {normal_shots};
  const EpisodeSampler sampler(group_pictures(pictures, indices), episodes, options.seed);
  const RunFolder run(folder.path() / "run");
  Trainer trainer(options, subject.head->options(),
                  {loader, sampler, nullptr, run, {"made up", "", 0, width}, {}});
  trainer.run();
  return trainer.state().history.back().episodes_per_second;
}

}  // namespace nagl::jobs
