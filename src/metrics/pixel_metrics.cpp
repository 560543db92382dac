#include "nagl/metrics/pixel_metrics.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <stdexcept>

namespace nagl {
namespace {

constexpr int kDroppedBits = 5;
constexpr int kBlockBits = 18;
constexpr std::uint32_t kBlockSize = 1U << kBlockBits;

/// An integer that orders as the floats do.
std::uint32_t ordered_bits(float value) {
  const auto bits = std::bit_cast<std::uint32_t>(value + 0.0F);  // -0 becomes 0
  return bits & 0x80000000U ? ~bits : bits | 0x80000000U;
}

}  // namespace

PixelMetrics::Bin& PixelMetrics::bin_of(float score) {
  const std::uint32_t place = ordered_bits(score) >> kDroppedBits;
  const std::uint32_t block = place >> kBlockBits;
  if (last_bins_ == nullptr || block != last_block_) {
    auto& bins = blocks_[block];
    if (bins.empty()) bins.resize(kBlockSize);
    last_block_ = block;
    last_bins_ = &bins;
  }
  return (*last_bins_)[place & (kBlockSize - 1)];
}

void PixelMetrics::add(std::span<const float> map, std::span<const std::uint8_t> mask,
                       std::int64_t height, std::int64_t width) {
  const auto pixels = static_cast<std::size_t>(height * width);
  if (height < 1 || width < 1 || map.size() != pixels || mask.size() != pixels) {
    throw std::invalid_argument("pixel metrics: map, mask and size do not fit together");
  }
  if (!std::all_of(map.begin(), map.end(), [](float value) { return std::isfinite(value); })) {
    throw std::invalid_argument("pixel metrics: a score is not finite");
  }
  const Regions regions = find_regions(mask, height, width);
  for (std::size_t i = 0; i < pixels; ++i) {
    Bin& bin = bin_of(map[i]);
    const auto region = static_cast<std::size_t>(regions.of_pixel[i]);
    if (region == 0) {
      ++bin.normal;
      ++normal_;
    } else {
      ++bin.anomalous;
      ++anomalous_;
      bin.region += 1.0 / static_cast<double>(regions.sizes[region]);
    }
  }
  regions_ += regions.sizes.size() - 1;
}

template <typename Visit>
void PixelMetrics::for_each_bin_descending(Visit&& visit) const {
  for (auto block = blocks_.rbegin(); block != blocks_.rend(); ++block) {
    for (auto bin = block->second.rbegin(); bin != block->second.rend(); ++bin) {
      if (bin->normal + bin->anomalous > 0) visit(*bin);
    }
  }
}

std::optional<double> PixelMetrics::auroc() const {
  if (normal_ == 0 || anomalous_ == 0) return std::nullopt;
  double wins = 0, above = 0;  // anomalous pixels above the present bin
  for_each_bin_descending([&](const Bin& bin) {
    const auto normal = static_cast<double>(bin.normal);
    const auto anomalous = static_cast<double>(bin.anomalous);
    wins += normal * (above + 0.5 * anomalous);
    above += anomalous;
  });
  return wins / (static_cast<double>(normal_) * static_cast<double>(anomalous_));
}

std::optional<double> PixelMetrics::pro(double limit) const {
  if (!(limit > 0 && limit <= 1)) throw std::invalid_argument("PRO needs a limit in (0, 1]");
  if (normal_ == 0 || regions_ == 0) return std::nullopt;
  double area = 0, rate = 0, overlap = 0;
  for_each_bin_descending([&](const Bin& bin) {
    const double next_rate = rate + static_cast<double>(bin.normal) / static_cast<double>(normal_);
    const double next_overlap = overlap + bin.region / static_cast<double>(regions_);
    if (rate < limit) {
      // The curve is straight between thresholds; beyond the limit it is cut.
      const double end = std::min(next_rate, limit);
      const double share = next_rate > rate ? (end - rate) / (next_rate - rate) : 1.0;
      const double end_overlap = overlap + share * (next_overlap - overlap);
      area += (end - rate) * 0.5 * (overlap + end_overlap);
    }
    rate = next_rate;
    overlap = next_overlap;
  });
  return area / limit;
}

Regions find_regions(std::span<const std::uint8_t> mask, std::int64_t height, std::int64_t width) {
  Regions regions;
  regions.of_pixel.assign(mask.size(), 0);
  regions.sizes.push_back(0);
  std::vector<std::int64_t> open;
  for (std::int64_t start = 0; start < height * width; ++start) {
    if (mask[static_cast<std::size_t>(start)] == 0 ||
        regions.of_pixel[static_cast<std::size_t>(start)] != 0) {
      continue;
    }
    const auto label = static_cast<std::int32_t>(regions.sizes.size());
    regions.of_pixel[static_cast<std::size_t>(start)] = label;
    regions.sizes.push_back(0);
    open.push_back(start);
    while (!open.empty()) {
      const std::int64_t pixel = open.back(), row = pixel / width, column = pixel % width;
      open.pop_back();
      ++regions.sizes.back();
      for (auto y = std::max<std::int64_t>(row - 1, 0); y <= std::min(row + 1, height - 1); ++y) {
        for (auto x = std::max<std::int64_t>(column - 1, 0); x <= std::min(column + 1, width - 1);
             ++x) {
          const auto neighbor = static_cast<std::size_t>(y * width + x);
          if (mask[neighbor] == 0 || regions.of_pixel[neighbor] != 0) continue;
          regions.of_pixel[neighbor] = label;
          open.push_back(y * width + x);
        }
      }
    }
  }
  return regions;
}

}  // namespace nagl
