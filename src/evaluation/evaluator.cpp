#include "nagl/evaluation/evaluator.h"

#include <algorithm>
#include <utility>

#include "category_run.h"
#include "nagl/core/error.h"

namespace nagl {
namespace {

BankOptions as_protocol_has_it(BankOptions bank, Protocol protocol) {
  if (protocol == Protocol::kPublished) {
    bank.encoding.mask_alignment = MaskAlignment::kPublished;
  }
  return bank;
}

/// With what the most demanding method needs of references.
BankOptions for_all_methods(BankOptions bank, const EvaluationOptions& options) {
  bank.method = Method::kNormalNn;
  bank.turns = 1;
  for (const Method method : options.methods) {
    if (uses_surroundings(method)) bank.method = Method::kAuto;
    for (const auto shots : options.normal_shots) {
      bank.turns = std::max(bank.turns, options.turns_of(method, shots));
    }
  }
  return bank;
}

}  // namespace

Evaluator::Evaluator(const std::shared_ptr<const Backbone>& backbone,
                     std::optional<TrainedHead> head, BankOptions bank, EvaluationOptions options,
                     std::int64_t batch_size, const std::filesystem::path& roi)
    : options_(std::move(options)),
      bank_(for_all_methods(as_protocol_has_it(std::move(bank), options_.protocol), options_)),
      encoder_(backbone, bank_.encoding, batch_size),
      roi_(roi) {
  options_.check();
  bank_.check();
  if (std::none_of(options_.methods.begin(), options_.methods.end(), uses_head)) return;
  if (!head) {
    throw ConfigError(
        "methods nagl and nagl_standardised need a trained head; give --model, the "
        "model.safetensors of nagl train");
  }
  head->origin.check_equals(origin_of(*backbone), head->path);
  head_ = head->on(backbone->device());
}

void Evaluator::check_references(const Category& category, const RecordedDraws* replay) const {
  draw_all(category, options_, replay, [](const Sample&) { return true; });
}

std::optional<CategoryResult> Evaluator::evaluate(const Category& category,
                                                  const RecordedDraws* replay,
                                                  const std::filesystem::path& folder,
                                                  const EvaluationObserver& observer) const {
  const c10::InferenceMode guard;
  return CategoryRun(encoder_, bank_, head_ ? &*head_ : nullptr, options_, roi_, category)
      .run(replay, folder, observer);
}

}  // namespace nagl
