#include "nagl/training/trainer.h"

#include <ATen/Parallel.h>
#include <fmt/format.h>
#include <torch/nn/utils/clip_grad.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <utility>

#include "fused_adamw.h"
#include "nagl/core/atomic_file.h"
#include "nagl/core/error.h"

namespace nagl {
namespace {

using Clock = std::chrono::steady_clock;

/// Steps between two looks at the losses: each look waits for the device.
constexpr std::int64_t kStepsBetweenLooks = 50;
constexpr std::size_t kLargestHead = std::size_t{1} << 32;

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

torch::optim::AdamW make_optimizer(const NaglHead& head, const TrainerOptions& options) {
  options.check();  // before Torch does, in its own words
  return torch::optim::AdamW(head->parameters(),
                             torch::optim::AdamWOptions(options.learning_rate.rate)
                                 .betas({options.beta1, options.beta2})
                                 .weight_decay(options.weight_decay));
}

std::string describe(const Episode& episode, const EpisodeLoader& loader) {
  std::string text = "query '" + loader.picture(episode.query).path.string() + "', references";
  for (const auto* pictures : {&episode.normal, &episode.abnormal}) {
    for (const auto i : *pictures) text += " '" + loader.picture(i).path.string() + "'";
  }
  return text;
}

void check_range(const char* name, std::int64_t value, std::int64_t low, std::int64_t high) {
  if (value < low || value > high) {
    throw ConfigError(fmt::format("trainer.{} {} is not in {}..{}", name, value, low, high));
  }
}

void check_fraction(const char* name, double value) {
  if (!(value >= 0 && value < 1)) {
    throw ConfigError(fmt::format("trainer.{} {} is not in [0, 1)", name, value));
  }
}

}  // namespace

void TrainerOptions::check() const {
  check_range("epochs", epochs, 1, 1'000'000);
  check_range("episodes_per_epoch", episodes_per_epoch, 1, 100'000'000);
  check_range("batch_size", batch_size, 1, 4096);
  check_range("neighbor_cache_mb", neighbor_cache_mb, 0, 1 << 20);
  check_fraction("beta1", beta1);
  check_fraction("beta2", beta2);
  for (const auto& [name, value] :
       {std::pair("pixel_weight", pixel_weight), std::pair("weight_decay", weight_decay),
        std::pair("gradient_clip", gradient_clip)}) {
    if (!(value >= 0) || !std::isfinite(value)) {
      throw ConfigError(fmt::format("trainer.{} {} is not 0 or above", name, value));
    }
  }
  learning_rate.check();
}

Trainer::Trainer(const TrainerOptions& options, const NaglHeadOptions& head, TrainerContext context)
    : options_(options),
      context_(std::move(context)),
      head_(head),
      optimizer_(make_optimizer(head_, options)) {
  head_->initialize(options.seed);
  head_->to(context_.loader.device());
  context_.metadata.merge(head_metadata(head, context_.origin));
}

std::optional<std::int64_t> Trainer::resume() {
  const auto path = context_.folder.checkpoint();
  std::error_code error;
  if (!std::filesystem::exists(path, error)) return std::nullopt;
  const WeightsFile file(path);
  read_origin(file).check_equals(context_.origin, path);
  state_ = read_checkpoint(file, head_, optimizer_);
  first_waiting_ = state_.step;
  return state_.threads;
}

bool Trainer::run(const TrainerObserver& observer) {
  const std::int64_t steps = options_.steps_per_epoch();
  const auto stopped = [&] { return observer.stop && observer.stop(); };
  while (state_.epoch < options_.epochs) {
    const auto start = Clock::now();
    const std::int64_t first = state_.step;
    while (state_.step < steps) {
      take_step();
      if (state_.step % kStepsBetweenLooks == 0) look_at_losses();
      if (observer.step) observer.step(state_.epoch * steps + state_.step, options_.epochs * steps);
      if (state_.step < steps && stopped()) {
        look_at_losses();
        save_checkpoint();
        return false;
      }
    }
    look_at_losses();
    EpochRecord record = close_epoch();
    const auto episodes = options_.episodes_per_epoch - first * options_.batch_size;
    record.episodes_per_second = static_cast<double>(episodes) / seconds_since(start);
    if (context_.validator != nullptr) {
      record.validation = context_.validator->evaluate(head_, options_.batch_size);
      const EpochRecord* best = state_.best();
      record.best = best == nullptr || record.validation->score() > best->validation->score();
    }
    record.seconds = seconds_since(start);
    state_.history.push_back(record);
    ++state_.epoch;
    state_.step = first_waiting_ = 0;
    state_.losses.clear();
    save_head(context_.folder.last(), record);
    if (record.best) save_head(context_.folder.best(), record);
    save_checkpoint();
    write_metrics(context_.folder.metrics(), state_.history);
    write_curve(context_.folder.curve(), state_.history);
    if (observer.epoch) observer.epoch(record);
    if (state_.epoch < options_.epochs && stopped()) return false;
  }
  const auto& result = state_.best() != nullptr ? context_.folder.best() : context_.folder.last();
  write_file(context_.folder.model(), read_file(result, kLargestHead));
  return true;
}

std::vector<Episode> Trainer::episodes_of(std::int64_t step) const {
  std::vector<Episode> episodes;
  const std::int64_t begin = step * options_.batch_size;
  const std::int64_t end = std::min(begin + options_.batch_size, options_.episodes_per_epoch);
  for (std::int64_t slot = 0; slot < end - begin; ++slot) {
    episodes.push_back(context_.sampler.sample(state_.epoch, step, slot));
  }
  return episodes;
}

void Trainer::take_step() {
  const double rate = learning_rate(options_.learning_rate, state_.epoch, state_.step,
                                    options_.epochs, options_.steps_per_epoch());
  for (auto& group : optimizer_.param_groups()) group.options().set_lr(rate);

  const auto episodes = episodes_of(state_.step);
  auto& loader = context_.loader;
  const auto scores = head_->forward(loader.references(episodes), loader.queries(episodes));
  const auto losses = episode_losses(scores, loader.grid(), loader.labels(episodes),
                                     loader.masks(episodes), options_.loss);
  optimizer_.zero_grad();
  losses.total(options_.pixel_weight).mean().backward();
  if (options_.gradient_clip > 0) {
    torch::nn::utils::clip_grad_norm_(head_->parameters(), options_.gradient_clip);
  }
  optimizer_step(optimizer_);
  waiting_.push_back(at::stack({losses.classification, losses.focal, losses.dice}).detach());
  ++state_.step;
}

void Trainer::look_at_losses() {
  for (const auto& waiting : waiting_) {
    const at::Tensor losses = waiting.to(at::kCPU);
    for (std::int64_t slot = 0; slot < losses.size(1); ++slot) {
      std::array<float, 3> terms{};
      for (std::size_t term = 0; term < terms.size(); ++term) {
        terms[term] = losses[static_cast<std::int64_t>(term)][slot].item<float>();
      }
      const auto finite = [](float value) { return std::isfinite(value); };
      if (!std::all_of(terms.begin(), terms.end(), finite)) {
        const auto episodes = episodes_of(first_waiting_);
        fail_not_finite(
            fmt::format("the loss is not finite at epoch {}, step {}, episode {} ({})",
                        state_.epoch + 1, first_waiting_ + 1, slot + 1,
                        describe(episodes[static_cast<std::size_t>(slot)], context_.loader)));
      }
      state_.losses.push_back(terms);
    }
    ++first_waiting_;
  }
  waiting_.clear();
  for (const auto& item : head_->named_parameters()) {
    if (at::isfinite(item.value()).all().item<bool>()) continue;
    fail_not_finite(fmt::format("the weights '{}' are not finite after epoch {}, step {}",
                                item.key(), state_.epoch + 1, state_.step));
  }
}

void Trainer::fail_not_finite(const std::string& what) const {
  const std::string kept =
      state_.history.empty()
          ? "no epoch was finished, so there is no checkpoint of one"
          : fmt::format("the checkpoint of epoch {} is kept in '{}'", state_.history.back().epoch,
                        context_.folder.path().string());
  throw Error(fmt::format(
      "{}; {}; train with a lower trainer.learning_rate.rate, or with trainer.gradient_clip=1",
      what, kept));
}

EpochRecord Trainer::close_epoch() {
  EpochRecord record;
  record.epoch = state_.epoch + 1;
  record.learning_rate = learning_rate(options_.learning_rate, state_.epoch, state_.step - 1,
                                       options_.epochs, options_.steps_per_epoch());
  for (const auto& [classification, focal, dice] : state_.losses) {
    record.classification += classification;
    record.focal += focal;
    record.dice += dice;
  }
  const auto count = static_cast<double>(state_.losses.size());
  for (double* sum : {&record.classification, &record.focal, &record.dice}) *sum /= count;
  record.loss = record.classification + options_.pixel_weight * (record.focal + record.dice);
  return record;
}

void Trainer::save_checkpoint() {
  state_.threads = at::get_num_threads();
  write_checkpoint(context_.folder.checkpoint(), head_, optimizer_, state_, context_.metadata);
}

void Trainer::save_head(const std::filesystem::path& path, const EpochRecord& record) const {
  auto metadata = context_.metadata;
  metadata["epoch"] = std::to_string(record.epoch);
  metadata["epochs"] = std::to_string(options_.epochs);
  double seconds = 0;
  for (const auto& past : state_.history) seconds += past.seconds;
  metadata["training_seconds"] = fmt::format("{:.1f}", seconds);
  if (record.validation) metadata["validation"] = dump_json(to_json(*record.validation));
  write_weights(path, state_of(*head_), metadata);
}

}  // namespace nagl
