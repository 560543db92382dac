#pragma once

#include <torch/optim/adamw.h>

#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "nagl/core/torch.h"
#include "nagl/model/trained_head.h"
#include "nagl/nn/losses.h"
#include "nagl/training/checkpoint.h"
#include "nagl/training/episode_loader.h"
#include "nagl/training/episode_sampler.h"
#include "nagl/training/learning_rate.h"
#include "nagl/training/run_folder.h"
#include "nagl/training/validation.h"

namespace nagl {

/// How the head learns (docs/design.md, 3.9 and 3.10).
struct TrainerOptions {
  std::int64_t epochs = 20;
  std::int64_t episodes_per_epoch = 500;
  std::int64_t batch_size = 8;  ///< episodes a step
  LossForm loss = LossForm::kPaper;
  double pixel_weight = 1;  ///< lambda: weight of focal and Dice loss beside the classification
  LearningRateOptions learning_rate;
  double beta1 = 0.9, beta2 = 0.999;  ///< AdamW's (Loshchilov and Hutter, 2019)
  double weight_decay = 0.01;
  double gradient_clip = 0;              ///< largest norm of a step's gradient; 0: any
  std::uint64_t seed = 0;                ///< of initial weights, episodes and what is held out
  std::int64_t neighbor_cache_mb = 512;  ///< memory for neighbours that episodes share

  /// Throws ConfigError on a value out of range.
  void check() const;
  std::int64_t steps_per_epoch() const {
    return (episodes_per_epoch + batch_size - 1) / batch_size;
  }

  template <typename Self, typename Visit>
  static void fields(Self& self, Visit&& visit) {
    visit("epochs", self.epochs);
    visit("episodes_per_epoch", self.episodes_per_epoch);
    visit("batch_size", self.batch_size);
    visit("loss", self.loss);
    visit("pixel_weight", self.pixel_weight);
    visit("learning_rate", self.learning_rate);
    visit("beta1", self.beta1);
    visit("beta2", self.beta2);
    visit("weight_decay", self.weight_decay);
    visit("gradient_clip", self.gradient_clip);
    visit("seed", self.seed);
    visit("neighbor_cache_mb", self.neighbor_cache_mb);
  }
};

/// What a training tells while it goes on; any may be empty.
struct TrainerObserver {
  std::function<void(std::int64_t steps_done, std::int64_t steps_in_all)> step;
  std::function<void(const EpochRecord&)> epoch;
  /// Asked after each step; true saves a checkpoint and ends the training, which can go on later.
  std::function<bool()> stop;
};

/// What a training works with; all must outlive it.
struct TrainerContext {
  EpisodeLoader& loader;
  const EpisodeSampler& sampler;
  const Validator* validator;  ///< null: the last epoch is the result
  const RunFolder& folder;
  HeadOrigin origin;
  /// Goes into every weights file beside `head_metadata`: options, versions, source.
  std::map<std::string, std::string> metadata;
};

/// Trains a head on episodes of stored features, and keeps its run folder: `checkpoint.safetensors`
/// after each epoch, `last.safetensors`, `best.safetensors` (with a validation), `metrics.csv` and
/// `curve.svg`; at the end `model.safetensors`, the best or else the last. An interrupted training
/// goes on to exactly the weights of an uninterrupted one (bit for bit on the CPU with the same
/// number of threads).
class Trainer {
 public:
  /// Makes a head with initial weights. @throws ConfigError on options out of range
  Trainer(const TrainerOptions& options, const NaglHeadOptions& head, TrainerContext context);

  /// Goes on where the folder's checkpoint stopped, if there is one.
  /// @return the number of threads it was written with; nothing if there is no checkpoint
  /// @throws ModelError if it belongs to another backbone, layer or width, naming both
  std::optional<std::int64_t> resume();

  /// @return false if it was stopped
  /// @throws Error naming step and episode when a loss is not finite; the last checkpoint stays
  bool run(const TrainerObserver& observer = {});

  const NaglHead& head() const { return head_; }
  const TrainerState& state() const { return state_; }

 private:
  void take_step();
  /// Waits for the device. @throws Error if a loss or a weight is not finite
  void look_at_losses();
  EpochRecord close_epoch();
  void save_checkpoint();
  void save_head(const std::filesystem::path& path, const EpochRecord& record) const;
  std::vector<Episode> episodes_of(std::int64_t step) const;
  [[noreturn]] void fail_not_finite(const std::string& what) const;

  TrainerOptions options_;
  TrainerContext context_;
  NaglHead head_;
  torch::optim::AdamW optimizer_;
  TrainerState state_;
  std::vector<at::Tensor> waiting_;  ///< losses of steps not looked at yet, [3, B], on the device
  std::int64_t first_waiting_ = 0;   ///< the step of the first of them
};

}  // namespace nagl
