#include "nagl/metrics/pixel_metrics.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <stdexcept>

#include "threshold_sweep.h"

namespace nagl {
namespace {

constexpr int kDroppedBits = 5;
constexpr int kBlockBits = 18;
constexpr int kPageBits = 10;
constexpr std::uint32_t kPageSize = 1U << kPageBits;
constexpr std::uint32_t kPages = 1U << (kBlockBits - kPageBits);  // of a block

/// An integer that orders as the floats do.
std::uint32_t ordered_bits(float value) {
  const auto bits = std::bit_cast<std::uint32_t>(value + 0.0F);  // -0 becomes 0
  return bits & 0x80000000U ? ~bits : bits | 0x80000000U;
}

/// The float whose `ordered_bits` are these.
float from_ordered_bits(std::uint32_t ordered) {
  return std::bit_cast<float>(ordered & 0x80000000U ? ordered & 0x7FFFFFFFU : ~ordered);
}

}  // namespace

PixelMetrics::Block& PixelMetrics::block_of(std::uint32_t number) {
  Block& block = blocks_[number];
  if (block.empty()) block.resize(kPages);
  return block;
}

void PixelMetrics::add(std::span<const float> map, std::span<const std::uint8_t> mask,
                       std::int64_t height, std::int64_t width) {
  add(map, find_regions(mask, height, width));
}

void PixelMetrics::add(std::span<const float> map, const Regions& regions) {
  if (map.size() != regions.of_pixel.size()) {
    throw std::invalid_argument("pixel metrics: map and mask differ in size");
  }
  if (!std::all_of(map.begin(), map.end(), [](float value) { return std::isfinite(value); })) {
    throw std::invalid_argument("pixel metrics: a score is not finite");
  }
  std::vector<double> weights{0};
  for (std::size_t i = 1; i < regions.sizes.size(); ++i) {
    weights.push_back(1.0 / static_cast<double>(regions.sizes[i]));
  }
  std::uint64_t anomalous = 0;
  std::uint32_t number = 0;
  Block* block = nullptr;  // neighbours mostly share it
  for (std::size_t i = 0; i < map.size(); ++i) {
    const std::uint32_t place = ordered_bits(map[i]) >> kDroppedBits;
    if (block == nullptr || place >> kBlockBits != number) {
      number = place >> kBlockBits;
      block = &block_of(number);
    }
    Page& page = (*block)[place >> kPageBits & (kPages - 1)];
    if (page.empty()) page.resize(kPageSize);
    Bin& bin = page[place & (kPageSize - 1)];
    const auto region = static_cast<std::size_t>(regions.of_pixel[i]);
    if (region == 0) {
      ++bin.normal;
    } else {
      ++bin.anomalous;
      bin.region += weights[region];
      ++anomalous;
    }
  }
  anomalous_ += anomalous;
  normal_ += map.size() - anomalous;
  regions_ += regions.count();
}

template <typename Visit>
bool PixelMetrics::for_each_bin_descending(Visit&& visit) const {
  if (normal_ == 0 || anomalous_ == 0) return false;
  for (auto block = blocks_.rbegin(); block != blocks_.rend(); ++block) {
    for (std::uint32_t number = kPages; number-- > 0;) {
      const Page& page = block->second[number];
      const std::uint32_t first = block->first << kBlockBits | number << kPageBits;
      for (auto i = static_cast<std::uint32_t>(page.size()); i-- > 0;) {
        const Bin& bin = page[i];
        if (bin.normal + bin.anomalous == 0) continue;
        visit(bin, from_ordered_bits((first | i) << kDroppedBits));
      }
    }
  }
  return true;
}

template <typename Visit>
std::optional<ThresholdSweep> PixelMetrics::sweep(Visit&& visit) const {
  ThresholdSweep state(static_cast<double>(normal_), static_cast<double>(anomalous_));
  const bool both = for_each_bin_descending([&](const Bin& bin, float edge) {
    state.lower(static_cast<double>(bin.normal), static_cast<double>(bin.anomalous));
    visit(state, edge);
  });
  return both ? std::optional(state) : std::nullopt;
}

std::optional<double> PixelMetrics::auroc() const {
  const auto all = sweep([](const ThresholdSweep&, float) {});
  return all ? std::optional(all->area()) : std::nullopt;
}

std::optional<double> PixelMetrics::average_precision() const {
  const auto all = sweep([](const ThresholdSweep&, float) {});
  return all ? std::optional(all->average_precision()) : std::nullopt;
}

std::optional<BestF1> PixelMetrics::best_f1() const {
  BestF1 best;
  const auto all = sweep([&](const ThresholdSweep& state, float edge) {
    if (state.f1() > best.f1) best = {state.f1(), edge};
  });
  return all ? std::optional(best) : std::nullopt;
}

std::optional<double> PixelMetrics::f1_above(double threshold) const {
  double f1 = 0;
  const auto all = sweep([&](const ThresholdSweep& state, float edge) {
    if (edge > threshold) f1 = state.f1();
  });
  return all ? std::optional(f1) : std::nullopt;
}

std::optional<double> PixelMetrics::pro(double limit) const {
  if (!(limit > 0 && limit <= 1)) throw std::invalid_argument("PRO needs a limit in (0, 1]");
  double area = 0, rate = 0, overlap = 0;
  const bool both = for_each_bin_descending([&](const Bin& bin, float) {
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
  if (!both) return std::nullopt;
  return area / limit;
}

std::vector<CurvePoint> PixelMetrics::roc_curve(std::size_t count) const {
  std::vector<CurvePoint> curve{{0, 0}};
  const auto all = sweep([&](const ThresholdSweep& state, float) {
    curve.push_back({state.false_positive_rate(), state.recall()});
  });
  return all ? thin_curve(curve, count) : std::vector<CurvePoint>();
}

std::vector<CurvePoint> PixelMetrics::pro_curve(std::size_t count) const {
  std::vector<CurvePoint> curve{{0, 0}};
  const bool both = for_each_bin_descending([&](const Bin& bin, float) {
    const CurvePoint& last = curve.back();
    curve.push_back(
        {last.false_alarms + static_cast<double>(bin.normal) / static_cast<double>(normal_),
         last.hits + bin.region / static_cast<double>(regions_)});
  });
  return both ? thin_curve(curve, count) : std::vector<CurvePoint>();
}

Regions find_regions(std::span<const std::uint8_t> mask, std::int64_t height, std::int64_t width) {
  if (height < 1 || width < 1 || mask.size() != static_cast<std::size_t>(height * width)) {
    throw std::invalid_argument("regions: mask and size do not fit together");
  }
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
