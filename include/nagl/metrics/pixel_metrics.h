#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <vector>

namespace nagl {

/// Pixel AUROC and PRO over anomaly maps that are seen one after the other and not kept: scores are
/// counted in bins of a relative width of 4e-6 (18 bits of a float's fraction), so memory does not
/// grow with the number of maps. Pixels that share a bin count as ties.
class PixelMetrics {
 public:
  /// @param map [height * width], row by row, finite; higher means more anomalous
  /// @param mask the same size; above 0 on the true defect
  /// @throws std::invalid_argument on sizes that do not fit or a score that is not finite
  void add(std::span<const float> map, std::span<const std::uint8_t> mask, std::int64_t height,
           std::int64_t width);

  /// Area under the ROC curve over all pixels of all maps; nothing where one class is absent.
  std::optional<double> auroc() const;

  /// Per-region overlap (Bergmann et al., IJCV 2021): the mean over 8-connected true regions of the
  /// share of their pixels above a threshold, integrated over the false-positive rate from 0 to
  /// `limit` and divided by it. Nothing where there is no region or no normal pixel.
  /// @throws std::invalid_argument if `limit` is not in (0, 1]
  std::optional<double> pro(double limit = 0.3) const;

 private:
  struct Bin {
    std::uint64_t normal = 0, anomalous = 0;
    double region = 0;  ///< sum of 1 / (size of the pixel's region)
  };
  Bin& bin_of(float score);
  template <typename Visit>
  void for_each_bin_descending(Visit&& visit) const;

  std::map<std::uint32_t, std::vector<Bin>> blocks_;  ///< by sign and exponent
  std::uint32_t last_block_ = 0;
  std::vector<Bin>* last_bins_ = nullptr;
  std::uint64_t normal_ = 0, anomalous_ = 0, regions_ = 0;
};

/// The 8-connected regions of a mask.
struct Regions {
  std::vector<std::int32_t> of_pixel;  ///< [height * width], 0 outside, else the region from 1
  std::vector<std::int64_t> sizes;     ///< in pixels; entry 0 is unused
};

/// @param mask [height * width], row by row; above 0 inside
Regions find_regions(std::span<const std::uint8_t> mask, std::int64_t height, std::int64_t width);

}  // namespace nagl
