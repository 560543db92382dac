#pragma once

#include <torch/optim/adamw.h>

namespace nagl {

/// `optimizer.step()`. On CUDA `fused_step`: there some ten kernels a parameter would take longer
/// to launch than to run.
void optimizer_step(torch::optim::AdamW& optimizer);

/// The same step, by one operator for all parameters of a group; equal but for rounding, and the
/// state is the one that `optimizer.step()` keeps. Without AMSGrad.
void fused_step(torch::optim::AdamW& optimizer);

}  // namespace nagl
