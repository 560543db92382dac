#include "fused_adamw.h"

#include <ATen/ops/_fused_adamw.h>

#include <memory>
#include <stdexcept>
#include <vector>

#include "nagl/core/torch.h"

namespace nagl {
namespace {

/// The parameter's moments, zeros before its first step.
torch::optim::AdamWParamState& state_of(torch::optim::AdamW& optimizer,
                                        const at::Tensor& parameter) {
  auto& state = optimizer.state()[parameter.unsafeGetTensorImpl()];
  if (!state) {
    auto fresh = std::make_unique<torch::optim::AdamWParamState>();
    fresh->step(0);
    fresh->exp_avg(at::zeros_like(parameter));
    fresh->exp_avg_sq(at::zeros_like(parameter));
    state = std::move(fresh);
  }
  return static_cast<torch::optim::AdamWParamState&>(*state);
}

}  // namespace

void optimizer_step(torch::optim::AdamW& optimizer) {
  const auto& parameters = optimizer.param_groups().front().params();
  if (!parameters.empty() && parameters.front().is_cuda()) {
    fused_step(optimizer);
  } else {
    optimizer.step();
  }
}

void fused_step(torch::optim::AdamW& optimizer) {
  const at::NoGradGuard no_grad;
  for (auto& group : optimizer.param_groups()) {
    const auto& options = static_cast<torch::optim::AdamWOptions&>(group.options());
    if (options.amsgrad()) throw std::invalid_argument("a fused step has no AMSGrad");
    std::vector<at::Tensor> parameters, gradients, means, squares, steps;
    at::Tensor step;  // one number serves all: they are stepped together
    for (const auto& parameter : group.params()) {
      if (!parameter.grad().defined()) continue;
      auto& state = state_of(optimizer, parameter);
      state.step(state.step() + 1);
      if (!step.defined()) {
        step =
            at::full({}, static_cast<double>(state.step()), parameter.options().dtype(at::kFloat));
      }
      parameters.push_back(parameter);
      gradients.push_back(parameter.grad());
      means.push_back(state.exp_avg());
      squares.push_back(state.exp_avg_sq());
      steps.push_back(step);
    }
    if (parameters.empty()) continue;
    const auto [first, second] = options.betas();
    at::_fused_adamw_(parameters, gradients, means, squares, {}, steps, options.lr(), first, second,
                      options.weight_decay(), options.eps(), /*amsgrad=*/false, /*maximize=*/false);
  }
}

}  // namespace nagl
