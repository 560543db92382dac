#include "training/fused_adamw.h"

#include "tensors.h"

namespace nagl {
namespace {

using testing::max_difference;

// Three steps of both, from the same weights and gradients.
TEST(FusedAdamW, IsTheStepOfTheOptimizer) {
  const auto random = at::make_generator<at::CPUGeneratorImpl>(1);
  const std::vector<at::Tensor> start = {torch::randn({5, 3}, random), torch::randn({7}, random)};
  const auto parameters = [&] {
    std::vector<at::Tensor> copies;
    for (const auto& tensor : start) copies.push_back(tensor.clone().requires_grad_());
    return copies;
  };
  const auto ours = parameters(), theirs = parameters();
  const auto options = torch::optim::AdamWOptions(1e-2).betas({0.8, 0.99}).weight_decay(0.1);
  torch::optim::AdamW fused(ours, options), plain(theirs, options);
  for (int step = 0; step < 3; ++step) {
    for (std::size_t i = 0; i < start.size(); ++i) {
      ours[i].mutable_grad() = theirs[i].mutable_grad() = torch::randn(start[i].sizes(), random);
    }
    fused_step(fused);
    plain.step();
    for (std::size_t i = 0; i < start.size(); ++i) {
      EXPECT_LT(max_difference(ours[i].detach(), theirs[i].detach()), 1e-6) << step;
    }
  }
  const auto state = [](torch::optim::AdamW& of, const at::Tensor& parameter) {
    return static_cast<torch::optim::AdamWParamState&>(
        *of.state().at(parameter.unsafeGetTensorImpl()));
  };
  for (std::size_t i = 0; i < start.size(); ++i) {
    const auto found = state(fused, ours[i]), expected = state(plain, theirs[i]);
    EXPECT_EQ(found.step(), 3);
    EXPECT_LT(max_difference(found.exp_avg(), expected.exp_avg()), 1e-6);
    EXPECT_LT(max_difference(found.exp_avg_sq(), expected.exp_avg_sq()), 1e-6);
  }
}

TEST(FusedAdamW, LeavesWhatHasNoGradient) {
  const auto parameter = torch::ones({3}).requires_grad_();
  torch::optim::AdamW optimizer({parameter}, torch::optim::AdamWOptions(0.1));
  fused_step(optimizer);
  EXPECT_TRUE(parameter.equal(torch::ones({3})));
}

}  // namespace
}  // namespace nagl
