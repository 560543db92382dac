#include <spdlog/sinks/ostream_sink.h>
#include <spdlog/spdlog.h>

#include <sstream>

#include "nagl/nn/frozen_linear.h"
#include "nagl/nn/nearest_neighbor.h"
#include "nn/attention_kernel.h"
#include "nn/block_product.h"
#include "nn/linear_kernel.h"
#include "tensors.h"

namespace nagl {
namespace {

using testing::relative_difference;

/// What is logged while it lives, a line a message.
class Log {
 public:
  Log() : before_(spdlog::default_logger()) {
    auto logger = std::make_shared<spdlog::logger>(
        "test", std::make_shared<spdlog::sinks::ostream_sink_st>(text_));
    logger->set_pattern("%l %v");
    spdlog::set_default_logger(logger);
  }
  ~Log() { spdlog::set_default_logger(before_); }
  std::string text() const { return text_.str(); }

 private:
  std::ostringstream text_;
  std::shared_ptr<spdlog::logger> before_;
};

// This executable has src/nn/no_brgemm in the place of src/nn/brgemm: what a build without block
// products does.
TEST(SlowPath, IsSaidOnceAProcessAndGivesTheSame) {
  at::globalContext().setUserEnabledMkldnn(false);
  const at::NoGradGuard no_grad;
  const Log log;
  for (int i = 0; i < 3; ++i) {
    for (const auto type : {at::kFloat, at::kBFloat16}) {
      torch::nn::Linear plain(384, 128), layer(384, 128);
      layer->weight.copy_(plain->weight);
      layer->bias.copy_(plain->bias);
      layer->to(type);
      const FrozenLinear frozen(layer);
      const auto input = torch::randn({65, 384}), expected = plain->forward(input);
      EXPECT_LT(relative_difference(frozen.forward(input.to(type)), expected), 2e-2);
      EXPECT_LT(relative_difference(frozen.forward_gelu(input.to(type)), at::gelu(expected)), 2e-2);
    }
  }
  EXPECT_EQ(log.text(),
            "warning float32 products in blocks are not available on this processor or in this "
            "Torch: the backbone runs on slower ones\n"
            "warning bfloat16 products are not available on this processor or in this Torch: the "
            "backbone runs on slower ones, likely slower than float32\n");
}

TEST(SlowPath, KernelsStepAside) {
  ASSERT_FALSE(has_block_product());
  EXPECT_FALSE(pack_for_blocks(torch::ones({128, 4})).defined());
  EXPECT_FALSE(block_attention(torch::ones({1, 2, 3, 1, 4})).defined());
  const auto found = nearest_neighbors(torch::tensor({{1.0F, 2.0F}}),
                                       NeighborRows(torch::tensor({{3.0F, 0.0F}, {0.0F, 3.0F}})));
  EXPECT_EQ(found.index.item<std::int64_t>(), 1);
  EXPECT_EQ(found.best.item<float>(), 6);
}

}  // namespace
}  // namespace nagl
