#include "nagl/nn/frozen_linear.h"

#include <signal.h>
#include <sys/time.h>

#include <chrono>

#include "tensors.h"

namespace nagl {
namespace {

using testing::relative_difference;

TEST(FrozenLinear, EqualsThePlainLayer) {
  const at::NoGradGuard no_grad;
  at::manual_seed(2);
  for (const auto& [inputs, outputs] : {std::pair{384, 1152}, {1536, 384}, {32, 48}, {7, 5}}) {
    for (const auto& [type, tolerance] : {std::pair{at::kFloat, 2e-6}, {at::kBFloat16, 2e-2}}) {
      torch::nn::Linear plain(inputs, outputs), layer(inputs, outputs);
      layer->weight.copy_(plain->weight);
      layer->bias.copy_(plain->bias);
      layer->to(type);
      const FrozenLinear frozen(layer);
      for (const std::int64_t rows : {1, 63, 65, 200}) {
        const auto input = torch::randn({2, rows, inputs}),
                   other = torch::randn({2, rows, outputs});
        const auto expected = plain->forward(input);
        const auto in = input.to(type);
        EXPECT_LT(relative_difference(frozen.forward(in), expected), tolerance);
        EXPECT_LT(relative_difference(frozen.forward_gelu(in), at::gelu(expected)), tolerance);
        EXPECT_LT(relative_difference(frozen.forward_add(in, other.to(type)), expected + other),
                  tolerance);
      }
    }
  }
}

// Some kernels keep data in the stack pointer, and a signal that arrives meanwhile ruins the heap.
TEST(FrozenLinear, SignalsWhileItComputesDoNoHarm) {
  const at::NoGradGuard no_grad;
  const auto input = torch::randn({65, 384});
  const FrozenLinear frozen{torch::nn::Linear(384, 1152)};
  const auto expected = frozen.forward(input);
  struct sigaction ignore {};
  ignore.sa_handler = [](int) {};
  ignore.sa_flags = SA_RESTART;
  ::sigaction(SIGALRM, &ignore, nullptr);
  const itimerval often{{0, 200}, {0, 200}}, never{};
  ::setitimer(ITIMER_REAL, &often, nullptr);
  const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(2);
  bool same = true;
  while (std::chrono::steady_clock::now() < end) same &= frozen.forward(input).equal(expected);
  ::setitimer(ITIMER_REAL, &never, nullptr);
  EXPECT_TRUE(same);
}

}  // namespace
}  // namespace nagl
