#include "nagl/nn/frozen_linear.h"

#include <ATen/core/dispatch/Dispatcher.h>
#include <spdlog/spdlog.h>

#include <mutex>
#include <optional>
#include <string_view>

#include "block_product.h"
#include "linear_kernel.h"

namespace nagl {
namespace {

constexpr std::int64_t kUsualRows = 1025;  // a picture of 448 x 448; others work too

/// oneDNN's linear layers, as Torch's own compiler calls them. For bfloat16 on processors without
/// units for it: the kernel that they take for float32 is no safe one (linear_kernel.h).
struct PackedOperators {
  using Pack = at::Tensor(const at::Tensor&, std::optional<c10::SymInt>);
  using Unary = at::Tensor(const at::Tensor&, const at::Tensor&, const std::optional<at::Tensor>&,
                           std::string_view, c10::List<std::optional<at::Scalar>>,
                           std::optional<std::string_view>);
  using Binary = at::Tensor(const at::Tensor&, const at::Tensor&, const at::Tensor&,
                            const std::optional<at::Tensor>&, std::string_view);

  c10::TypedOperatorHandle<Pack> pack;
  c10::TypedOperatorHandle<Unary> unary;
  c10::TypedOperatorHandle<Binary> binary;
};

/// Empty where Torch was built without oneDNN, or the processor has no bfloat16 that it uses.
const std::optional<PackedOperators>& packed_operators() {
  static const std::optional<PackedOperators> operators = []() -> std::optional<PackedOperators> {
    auto& dispatcher = c10::Dispatcher::singleton();
    const auto pack = dispatcher.findSchema({"mkldnn::_reorder_linear_weight", ""});
    const auto unary = dispatcher.findSchema({"mkldnn::_linear_pointwise", ""});
    const auto binary = dispatcher.findSchema({"mkldnn::_linear_pointwise", "binary"});
    const auto has_bfloat16 = dispatcher.findSchema({"mkldnn::_is_mkldnn_bf16_supported", ""});
    if (!at::globalContext().userEnabledMkldnn() || !pack || !unary || !binary || !has_bfloat16 ||
        !has_bfloat16->typed<bool()>().call()) {
      return {};
    }
    return PackedOperators{pack->typed<PackedOperators::Pack>(),
                           unary->typed<PackedOperators::Unary>(),
                           binary->typed<PackedOperators::Binary>()};
  }();
  return operators;
}

/// @return the weights packed; undefined where there is no oneDNN for them
at::Tensor packed(const at::Tensor& weight) {
  if (!packed_operators()) return {};
  return packed_operators()->pack.call(weight, c10::SymInt(kUsualRows));
}

/// Slow is said once a process, of each type.
void warn_of_slow(at::ScalarType type) {
  static std::once_flag float32, bfloat16;
  if (type == at::kFloat && !has_block_product()) {
    std::call_once(float32, [] {
      spdlog::warn(
          "float32 products in blocks are not available on this processor or in this Torch: the "
          "backbone runs on slower ones");
    });
  } else if (type == at::kBFloat16 && !has_bfloat16_product() && !packed_operators()) {
    std::call_once(bfloat16, [] {
      spdlog::warn(
          "bfloat16 products are not available on this processor or in this Torch: the backbone "
          "runs on slower ones, likely slower than float32");
    });
  }
}

at::Tensor apply(const at::Tensor& input, const at::Tensor& weight, const at::Tensor& bias,
                 std::string_view then, std::optional<std::string_view> how) {
  const c10::List<std::optional<at::Scalar>> no_scalars;
  return packed_operators()->unary.call(input, weight, bias, then, no_scalars, how);
}

}  // namespace

FrozenLinear::FrozenLinear(torch::nn::Linear layer) {
  const at::NoGradGuard no_grad;
  weight_ = layer->weight.detach().contiguous();
  bias_ = layer->bias.detach();
  const auto take = [this](at::Tensor ordered, Form form) {
    if (!ordered.defined()) return false;  // not on this processor, or not of these sizes
    weight_ = std::move(ordered);
    form_ = form;
    return true;
  };
  if (weight_.is_cpu()) {
    const at::ScalarType type = weight_.scalar_type();
    warn_of_slow(type);
    if (type == at::kFloat || type == at::kBFloat16) {
      if (take(pack_for_blocks(weight_), Form::kBlocks)) {
        bias_ = bias_.to(at::kFloat);
      } else if (type == at::kBFloat16) {
        take(packed(weight_), Form::kPacked);
      }
    }
  }
  layer->weight.set_data(at::empty({0}, layer->weight.options()));
  layer->bias.set_data(at::empty({0}, layer->bias.options()));
}

at::Tensor FrozenLinear::forward(const at::Tensor& input) const {
  if (form_ == Form::kBlocks) return block_linear(input, weight_, bias_);
  if (form_ == Form::kPacked) return apply(input, weight_, bias_, "none", std::nullopt);
  return at::linear(input, weight_, bias_);
}

at::Tensor FrozenLinear::forward_gelu(const at::Tensor& input) const {
  if (form_ == Form::kPacked) return apply(input, weight_, bias_, "gelu", "none");
  if (form_ == Form::kBlocks) return block_linear_gelu(input, weight_, bias_);
  if (input.is_cuda() && input.scalar_type() != at::kFloat) {
    // GELU by its tanh form, 5e-4 from the exact one at most: a tenth of what such types round.
    return at::_addmm_activation(bias_, input.flatten(0, -2), weight_.t(), 1, 1, /*use_gelu=*/true)
        .unflatten(0, input.sizes().slice(0, input.dim() - 1));
  }
  auto output = forward(input);
  return at::gelu_(output);
}

at::Tensor FrozenLinear::forward_add(const at::Tensor& input, const at::Tensor& other) const {
  if (form_ == Form::kBlocks) return block_linear(input, weight_, bias_, other);
  if (form_ == Form::kPacked) {
    return packed_operators()->binary.call(input, other, weight_, bias_, "add");
  }
  return at::linear(input, weight_, bias_).add_(other);
}

}  // namespace nagl
