#include "nagl/nn/losses.h"

#include <ATen/Parallel.h>
#include <torch/csrc/autograd/custom_function.h>

#include "nagl/nn/image_score.h"
#include "pixel_loss_kernel.h"

namespace nagl {
namespace {

/// Patch scores that the image score of the published training averages.
constexpr std::int64_t kPublishedTop = 20;

at::Tensor classification_loss(const at::Tensor& fused, const at::Tensor& labels, LossForm form) {
  if (form == LossForm::kPublished) {
    const auto score = mean_of_top(fused, kPublishedTop);
    const auto logits = at::stack({1 - score, score}, 1);
    return at::cross_entropy_loss(logits, labels.to(at::kLong), {}, at::Reduction::None);
  }
  // Not at::binary_cross_entropy: it aborts where a score is not a number (on CUDA the whole
  // process), before anyone can say of which episode.
  const auto score = image_scores(fused);
  const auto present = labels.to(score.scalar_type());
  const auto right = present * score + (1 - present) * (1 - score);
  return -right.clamp_min(kSmallestProbability).log();
}

/// Weight times (1 - p)^2 times cross-entropy, p the probability given to the truth.
at::Tensor focal_terms(const at::Tensor& log_probability, const at::Tensor& present) {
  const auto weight = present * (2 * kFocalAlpha - 1) + (1 - kFocalAlpha);
  return -weight * (1 - log_probability.exp()).square() * log_probability;
}

/// [B, pixels] each; the Dice loss of each row.
at::Tensor dice_terms(const at::Tensor& probability, const at::Tensor& present) {
  const auto overlap = (probability * present).sum(1);
  return 1 - (2 * overlap + kDiceSmooth) / (probability.sum(1) + present.sum(1) + kDiceSmooth);
}

/// The fused kernel as an operator that autograd knows.
class FusedPixelLosses : public torch::autograd::Function<FusedPixelLosses> {
 public:
  static torch::autograd::variable_list forward(torch::autograd::AutogradContext* context,
                                                const at::Tensor& maps, const at::Tensor& masks,
                                                LossForm form) {
    const at::Tensor values = maps.detach().contiguous(), marks = masks.contiguous();
    const std::int64_t batch = values.size(0), channels = values.size(1);
    const PixelLossShape shape{values.size(2), values.size(3), marks.size(1), marks.size(2)};
    const std::int64_t patches = shape.rows * shape.columns, pixels = shape.height * shape.width;
    const auto focal = at::empty({batch}, values.options()), dice = at::empty_like(focal);
    const auto focal_gradient = at::zeros_like(values), dice_gradient = at::zeros_like(values);
    const std::int64_t learnt = (channels - 1) * patches;  // the last channel has the gradient
    at::parallel_for(0, batch, 1, [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t i = begin; i < end; ++i) {
        const float* map = values.const_data_ptr<float>() + i * channels * patches;
        const std::uint8_t* mask = marks.const_data_ptr<std::uint8_t>() + i * pixels;
        PixelLossTerms terms;
        terms.focal_gradient = focal_gradient.data_ptr<float>() + i * channels * patches + learnt;
        terms.dice_gradient = dice_gradient.data_ptr<float>() + i * channels * patches + learnt;
        if (form == LossForm::kPublished) {
          published_pixel_loss(shape, map, map + patches, mask, terms);
        } else {
          paper_pixel_loss(shape, map, mask, terms);
        }
        focal.data_ptr<float>()[i] = static_cast<float>(terms.focal);
        dice.data_ptr<float>()[i] = static_cast<float>(terms.dice);
      }
    });
    context->save_for_backward({focal_gradient, dice_gradient});
    return {focal, dice};
  }

  static torch::autograd::variable_list backward(torch::autograd::AutogradContext* context,
                                                 const torch::autograd::variable_list& outer) {
    const auto saved = context->get_saved_variables();
    const auto by_sample = [](const at::Tensor& gradient) {
      return gradient.reshape({-1, 1, 1, 1});
    };
    return {by_sample(outer[0]) * saved[0] + by_sample(outer[1]) * saved[1], {}, {}};
  }
};

void check_shapes(const at::Tensor& maps, const at::Tensor& masks, LossForm form) {
  const std::int64_t channels = form == LossForm::kPublished ? 2 : 1;
  const bool fits = maps.dim() == 4 && masks.dim() == 3 && maps.size(0) == masks.size(0) &&
                    maps.size(1) == channels;
  if (!fits) throw std::invalid_argument("pixel losses: maps and masks do not fit together");
}

/// What the fused kernel reads through plain pointers.
void check_masks(const at::Tensor& masks) {
  if (!masks.is_cpu() || masks.scalar_type() != at::kByte) {
    throw std::invalid_argument("pixel losses: masks that are not uint8 on the CPU, as the maps");
  }
}

}  // namespace

EpisodeLosses episode_losses(const PatchScores& scores, PatchGrid grid, const at::Tensor& labels,
                             const at::Tensor& masks, LossForm form) {
  const auto as_map = [&](const at::Tensor& values) {
    return values.reshape({-1, 1, grid.rows, grid.columns});
  };
  const auto maps =
      form == LossForm::kPublished
          ? at::cat({as_map(scores.normal_similarity), as_map(scores.abnormal_similarity)}, 1)
          : as_map(scores.fused);
  const auto pixel = pixel_losses(maps, masks, form);
  return {classification_loss(scores.fused, labels, form), pixel.focal, pixel.dice};
}

PixelLosses pixel_losses(const at::Tensor& maps, const at::Tensor& masks, LossForm form) {
  check_shapes(maps, masks, form);
  if (!maps.is_cpu() || maps.scalar_type() != at::kFloat) {
    return pixel_losses_by_operators(maps, masks, form);
  }
  check_masks(masks);
  const auto losses = FusedPixelLosses::apply(maps, masks, form);
  return {losses[0], losses[1]};
}

PixelLosses pixel_losses_by_operators(const at::Tensor& maps, const at::Tensor& masks,
                                      LossForm form) {
  check_shapes(maps, masks, form);
  const auto wide = at::upsample_bilinear2d(maps, {masks.size(1), masks.size(2)}, false).flatten(2);
  const auto present = masks.to(maps.scalar_type()).flatten(1);
  if (form == LossForm::kPaper) {
    const auto p = wide.select(1, 0);
    const auto right = present * p + (1 - present) * (1 - p);
    const auto log_right = right.clamp_min(kSmallestProbability).log();
    return {focal_terms(log_right, present).mean(1), dice_terms(p, present)};
  }
  const auto targets = at::stack({1 - present, present}, 1);
  const auto focal = focal_terms(at::log_sigmoid(wide * (2 * targets - 1)), targets).mean({1, 2});
  const auto channels = wide.softmax(1);
  return {focal, dice_terms(channels.select(1, 0), targets.select(1, 0)) +
                     dice_terms(channels.select(1, 1), targets.select(1, 1))};
}

}  // namespace nagl
