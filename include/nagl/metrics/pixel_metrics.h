#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <vector>

#include "nagl/metrics/ranking_metrics.h"

namespace nagl {

class ThresholdSweep;

/// The 8-connected regions of a mask.
struct Regions {
  std::vector<std::int32_t> of_pixel;  ///< [height * width], 0 outside, else the region from 1
  std::vector<std::int64_t> sizes;     ///< in pixels; entry 0 is unused

  std::size_t count() const { return sizes.size() - 1; }
};

/// @param mask [height * width], row by row; above 0 inside
/// @throws std::invalid_argument on sizes that do not fit
Regions find_regions(std::span<const std::uint8_t> mask, std::int64_t height, std::int64_t width);

/// Pixel metrics over anomaly maps that are seen one after the other and not kept: scores are
/// counted in bins of a relative width of 4e-6 (18 bits of a float's fraction), so memory does not
/// grow with the number of maps: 24 bytes for each bin of the range that scores take, some 20 MB
/// for scores between 0.1 and 0.5. Pixels that share a bin count as ties. Metrics are absent where
/// one of the two classes is.
class PixelMetrics {
 public:
  /// @param map [height * width], row by row, finite; higher means more anomalous
  /// @param mask the same size; above 0 on the true defect
  /// @throws std::invalid_argument on sizes that do not fit or a score that is not finite
  void add(std::span<const float> map, std::span<const std::uint8_t> mask, std::int64_t height,
           std::int64_t width);
  /// The same where the mask's regions are known already.
  void add(std::span<const float> map, const Regions& regions);

  /// Area under the ROC curve over all pixels of all maps.
  std::optional<double> auroc() const;
  /// Average precision over all pixels of all maps (see ranking_metrics.h).
  std::optional<double> average_precision() const;
  /// The largest F1 score over all thresholds; the threshold is a bin's lower edge.
  std::optional<BestF1> best_f1() const;

  /// The F1 score of the pixels above a threshold, to within a bin; 0 where none is.
  std::optional<double> f1_above(double threshold) const;

  /// Per-region overlap (Bergmann et al., IJCV 2021): the mean over 8-connected true regions of the
  /// share of their pixels above a threshold, integrated over the false-positive rate from 0 to
  /// `limit` and divided by it.
  /// @throws std::invalid_argument if `limit` is not in (0, 1]
  std::optional<double> pro(double limit = 0.3) const;

  /// The curves behind them, no more than about `count` points each; empty where a class is absent.
  std::vector<CurvePoint> roc_curve(std::size_t count) const;
  std::vector<CurvePoint> pro_curve(std::size_t count) const;

 private:
  struct Bin {
    std::uint64_t normal = 0, anomalous = 0;
    double region = 0;  ///< sum of 1 / (size of the pixel's region)
  };
  using Page = std::vector<Bin>;    ///< empty until a score falls into it
  using Block = std::vector<Page>;  ///< of one sign and exponent

  Block& block_of(std::uint32_t number);
  /// Calls `visit(bin, its lower edge)`. @return whether there are both classes
  template <typename Visit>
  bool for_each_bin_descending(Visit&& visit) const;
  template <typename Visit>
  std::optional<ThresholdSweep> sweep(Visit&& visit) const;

  std::map<std::uint32_t, Block> blocks_;  ///< by sign and exponent
  std::uint64_t normal_ = 0, anomalous_ = 0, regions_ = 0;
};

}  // namespace nagl
