#include "pixel_loss_kernel.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <initializer_list>
#include <numeric>
#include <stdexcept>
#include <vector>

#include "simd.h"

namespace nagl {
namespace {

constexpr float kAlpha = static_cast<float>(kFocalAlpha);

/// log x for normal x > 0, absolute error 1e-7: the exponent, and the series of artanh for the
/// mantissa in [0.7, 1.4].
NAGL_INLINE float log_positive(float x) {
  constexpr float kLn2 = 0.69314718F;
  constexpr std::int32_t kSqrtHalf = 0x3F3504F3;
  const std::int32_t shifted = std::bit_cast<std::int32_t>(x) - kSqrtHalf;
  const std::int32_t exponent = shifted >> 23;
  const float mantissa = std::bit_cast<float>((shifted & 0x007FFFFF) + kSqrtHalf);
  const float s = (mantissa - 1) / (mantissa + 1), t = s * s;
  float p = 1.0F / 9;
  p = p * t + 1.0F / 7;
  p = p * t + 1.0F / 5;
  p = p * t + 1.0F / 3;
  p = p * t + 1.0F;
  return static_cast<float>(exponent) * kLn2 + 2 * s * p;
}

/// -log sigmoid(z) and sigmoid(z).
struct Sigmoid {
  float cross_entropy, probability;
};
NAGL_INLINE Sigmoid sigmoid(float z) {
  const float e = exp_negative(-std::abs(z)), inverse = 1 / (1 + e);
  return {(z < 0 ? -z : 0.0F) + log_positive(1 + e), z >= 0 ? inverse : e * inverse};
}

/// Where an output position takes its value from: `low` with 1 - weight and the next with weight.
struct Tap {
  std::int64_t low, high;
  float weight;
};

/// Bilinear with half-pixel centres, edges clamped.
std::vector<Tap> taps(std::int64_t from, std::int64_t to) {
  std::vector<Tap> result;
  const float scale = static_cast<float>(from) / static_cast<float>(to);
  for (std::int64_t i = 0; i < to; ++i) {
    const float place = std::max((static_cast<float>(i) + 0.5F) * scale - 0.5F, 0.0F);
    const auto low = std::min(static_cast<std::int64_t>(place), from - 1);
    result.push_back({low, std::min(low + 1, from - 1), place - static_cast<float>(low)});
  }
  return result;
}

/// A map stretched along its rows, ready to give any row of the upsampled map; and the other way
/// round, gradients gathered row by row.
class Upsampler {
 public:
  explicit Upsampler(const PixelLossShape& shape)
      : shape_(shape),
        down_(taps(shape.rows, shape.height)),
        across_(taps(shape.columns, shape.width)) {}

  std::vector<float> stretch(const float* map) const {
    std::vector<float> wide(static_cast<std::size_t>(shape_.rows * shape_.width));
    for (std::int64_t row = 0; row < shape_.rows; ++row) {
      const float* from = map + row * shape_.columns;
      float* to = wide.data() + row * shape_.width;
      for (std::size_t x = 0; x < across_.size(); ++x) {
        const Tap& tap = across_[x];
        to[x] = from[tap.low] + tap.weight * (from[tap.high] - from[tap.low]);
      }
    }
    return wide;
  }

  /// Sets `map` [rows, columns] to the transpose of `stretch` applied to `wide`, times `factor`.
  void shrink(const std::vector<float>& wide, float factor, float* map) const {
    std::fill(map, map + shape_.rows * shape_.columns, 0.0F);
    for (std::int64_t row = 0; row < shape_.rows; ++row) {
      const float* from = wide.data() + row * shape_.width;
      float* to = map + row * shape_.columns;
      for (std::size_t x = 0; x < across_.size(); ++x) {
        const Tap& tap = across_[x];
        to[tap.low] += factor * (1 - tap.weight) * from[x];
        to[tap.high] += factor * tap.weight * from[x];
      }
    }
  }

  const Tap& tap(std::int64_t y) const { return down_[static_cast<std::size_t>(y)]; }

 private:
  PixelLossShape shape_;
  std::vector<Tap> down_, across_;
};

/// Row `y` of the upsampled map is `low + weight * (high - low)`.
struct RowOf {
  const float *low, *high;
  RowOf(const std::vector<float>& wide, const Tap& tap, std::int64_t width)
      : low(wide.data() + tap.low * width), high(wide.data() + tap.high * width) {}
};

/// Adds a row's values to the rows they came from.
NAGL_SIMD void scatter(const float* row, const Tap& tap, std::int64_t width,
                       std::vector<float>& wide) {
  float* __restrict low = wide.data() + tap.low * width;
  float* __restrict high = wide.data() + tap.high * width;
  for (std::int64_t x = 0; x < width; ++x) low[x] += (1 - tap.weight) * row[x];
  for (std::int64_t x = 0; x < width; ++x) high[x] += tap.weight * row[x];
}

/// What pixels add, column by column: a loop over a row then has no sum that crosses columns.
struct ColumnSums {
  std::vector<float> focal, probability, overlap, marked;

  explicit ColumnSums(std::int64_t width)
      : focal(static_cast<std::size_t>(width)), probability(focal), overlap(focal), marked(focal) {}

  static double total(const std::vector<float>& sums) {
    return std::accumulate(sums.begin(), sums.end(), 0.0);
  }
};

/// Gradients of one row: of the focal sum, and of the Dice's sums of probability and overlap.
struct RowGradients {
  std::vector<float> focal, probability, overlap;

  explicit RowGradients(std::int64_t width)
      : focal(static_cast<std::size_t>(width)), probability(focal), overlap(focal) {}
};

/// Plain pointers to all that a loop over a row writes, `width` values each.
struct RowOutput {
  std::int64_t width;
  float *focal, *probability, *overlap, *marked;
  float *d_focal, *d_probability, *d_overlap;

  RowOutput(ColumnSums& sums, RowGradients& gradients)
      : width(static_cast<std::int64_t>(sums.focal.size())),
        focal(sums.focal.data()),
        probability(sums.probability.data()),
        overlap(sums.overlap.data()),
        marked(sums.marked.data()),
        d_focal(gradients.focal.data()),
        d_probability(gradients.probability.data()),
        d_overlap(gradients.overlap.data()) {}
};

NAGL_SIMD void published_row(RowOf normal, RowOf abnormal, float weight, const std::uint8_t* mask,
                             RowOutput to) {
#pragma GCC ivdep
  for (std::int64_t x = 0; x < to.width; ++x) {
    const float m = mask[x], sign = 2 * m - 1;
    const float x0 = normal.low[x] + weight * (normal.high[x] - normal.low[x]);
    const float x1 = abnormal.low[x] + weight * (abnormal.high[x] - abnormal.low[x]);
    // What is present has the weight alpha, in the one channel or the other.
    const Sigmoid s0 = sigmoid(-sign * x0), s1 = sigmoid(sign * x1);
    const float w1 = (1 - kAlpha) + m * (2 * kAlpha - 1), w0 = 1 - w1;
    const float miss0 = 1 - s0.probability, miss1 = 1 - s1.probability;
    to.focal[x] += w0 * miss0 * miss0 * s0.cross_entropy + w1 * miss1 * miss1 * s1.cross_entropy;
    to.d_focal[x] = -sign * w1 * miss1 * miss1 * (2 * s1.probability * s1.cross_entropy + miss1);
    const float difference = x1 - x0;
    const float e = exp_negative(-std::abs(difference)), inverse = 1 / (1 + e);
    const float q = difference >= 0 ? inverse : e * inverse;
    to.probability[x] += q;
    to.overlap[x] += m * q;
    to.marked[x] += m;
    const float slope = q * (1 - q);
    to.d_probability[x] = slope;
    to.d_overlap[x] = m * slope;
  }
}

NAGL_SIMD void paper_row(RowOf fused, float weight, const std::uint8_t* mask, RowOutput to) {
#pragma GCC ivdep
  for (std::int64_t x = 0; x < to.width; ++x) {
    const float m = mask[x], sign = 2 * m - 1;
    const float p = fused.low[x] + weight * (fused.high[x] - fused.low[x]);
    const float right = (1 - m) + sign * p;  // the probability given to the truth
    const float kept = right < kSmallestProbability ? kSmallestProbability : right;  // NaN stays
    const float w = (1 - kAlpha) + m * (2 * kAlpha - 1), miss = 1 - kept;
    const float cross_entropy = -log_positive(kept);
    to.focal[x] += w * miss * miss * cross_entropy;
    const float slope = -w * miss * (2 * cross_entropy + miss / kept);
    to.d_focal[x] = right > kSmallestProbability ? sign * slope : 0.0F;
    to.probability[x] += p;
    to.overlap[x] += m * p;
    to.marked[x] += m;
    to.d_probability[x] = 1;
    to.d_overlap[x] = m;
  }
}

/// The sums over all pixels.
struct Sums {
  double focal, probability, overlap, marked;

  explicit Sums(const ColumnSums& columns)
      : focal(ColumnSums::total(columns.focal)),
        probability(ColumnSums::total(columns.probability)),
        overlap(ColumnSums::total(columns.overlap)),
        marked(ColumnSums::total(columns.marked)) {}
};

/// 1 - (2 overlap + smooth) / (probability + marked + smooth), and its derivatives with respect to
/// overlap and probability.
struct Dice {
  double loss, by_overlap, by_probability;

  Dice(double overlap, double probability, double marked) {
    const double above = 2 * overlap + kDiceSmooth, below = probability + marked + kDiceSmooth;
    loss = 1 - above / below;
    by_overlap = -2 / below;
    by_probability = above / (below * below);
  }
};

/// Gradients before they are shrunk to the map, [rows, width] each.
struct WideGradients {
  std::vector<float> focal, probability, overlap;
  explicit WideGradients(const PixelLossShape& shape)
      : focal(static_cast<std::size_t>(shape.rows * shape.width)),
        probability(focal),
        overlap(focal) {}
};

/// Goes through all rows; `row(y, tap, output)` computes one.
template <typename Row>
Sums for_each_row(const PixelLossShape& shape, const Upsampler& upsampler, WideGradients& wide,
                  Row&& row) {
  ColumnSums sums(shape.width);
  RowGradients gradients(shape.width);
  for (std::int64_t y = 0; y < shape.height; ++y) {
    const Tap& tap = upsampler.tap(y);
    row(y, tap, RowOutput(sums, gradients));
    scatter(gradients.focal.data(), tap, shape.width, wide.focal);
    scatter(gradients.probability.data(), tap, shape.width, wide.probability);
    scatter(gradients.overlap.data(), tap, shape.width, wide.overlap);
  }
  return Sums(sums);
}

void check(const PixelLossShape& shape, std::initializer_list<const void*> pointers) {
  if (shape.rows < 1 || shape.columns < 1 || shape.height < 1 || shape.width < 1) {
    throw std::invalid_argument("pixel loss: an empty map or mask");
  }
  for (const void* pointer : pointers) {
    if (pointer == nullptr)
      throw std::invalid_argument("pixel loss: a map, mask or gradient is missing");
  }
}

void finish(const PixelLossShape& shape, const Upsampler& upsampler, const WideGradients& wide,
            double focal_count, double by_probability, double by_overlap, PixelLossTerms& terms) {
  upsampler.shrink(wide.focal, static_cast<float>(1 / focal_count), terms.focal_gradient);
  upsampler.shrink(wide.probability, static_cast<float>(by_probability), terms.dice_gradient);
  std::vector<float> overlap(static_cast<std::size_t>(shape.rows * shape.columns));
  upsampler.shrink(wide.overlap, static_cast<float>(by_overlap), overlap.data());
  for (std::size_t i = 0; i < overlap.size(); ++i) terms.dice_gradient[i] += overlap[i];
}

}  // namespace

void published_pixel_loss(const PixelLossShape& shape, const float* normal, const float* abnormal,
                          const std::uint8_t* mask, PixelLossTerms& terms) {
  check(shape, {normal, abnormal, mask, terms.focal_gradient, terms.dice_gradient});
  const Upsampler upsampler(shape);
  const auto wide_normal = upsampler.stretch(normal), wide_abnormal = upsampler.stretch(abnormal);
  WideGradients wide(shape);
  const Sums sums = for_each_row(
      shape, upsampler, wide, [&](std::int64_t y, const Tap& tap, const RowOutput& output) {
        published_row({wide_normal, tap, shape.width}, {wide_abnormal, tap, shape.width},
                      tap.weight, mask + y * shape.width, output);
      });
  const auto pixels = static_cast<double>(shape.height * shape.width);
  // Channel 1 is the defect's; channel 0 has 1 - q against 1 - mask.
  const Dice defect(sums.overlap, sums.probability, sums.marked);
  const Dice rest(pixels - sums.marked - sums.probability + sums.overlap, pixels - sums.probability,
                  pixels - sums.marked);
  terms.focal = sums.focal / (2 * pixels);
  terms.dice = defect.loss + rest.loss;
  finish(shape, upsampler, wide, 2 * pixels,
         defect.by_probability - rest.by_overlap - rest.by_probability,
         defect.by_overlap + rest.by_overlap, terms);
}

void paper_pixel_loss(const PixelLossShape& shape, const float* fused, const std::uint8_t* mask,
                      PixelLossTerms& terms) {
  check(shape, {fused, mask, terms.focal_gradient, terms.dice_gradient});
  const Upsampler upsampler(shape);
  const auto wide_fused = upsampler.stretch(fused);
  WideGradients wide(shape);
  const Sums sums = for_each_row(
      shape, upsampler, wide, [&](std::int64_t y, const Tap& tap, const RowOutput& output) {
        paper_row({wide_fused, tap, shape.width}, tap.weight, mask + y * shape.width, output);
      });
  const auto pixels = static_cast<double>(shape.height * shape.width);
  const Dice dice(sums.overlap, sums.probability, sums.marked);
  terms.focal = sums.focal / pixels;
  terms.dice = dice.loss;
  finish(shape, upsampler, wide, pixels, dice.by_probability, dice.by_overlap, terms);
}

}  // namespace nagl
