#pragma once

#include <filesystem>
#include <opencv2/core/mat.hpp>
#include <vector>

#include "nagl/core/torch.h"
#include "nagl/image/tiling.h"

namespace nagl {

/// The map of docs/design.md, 3.8: patch scores, bilinear to the picture's size, then a Gaussian of
/// sigma 4 and radius 16 with a mirrored border.
/// @param patch_scores [h, w] float32 on the CPU
/// @return float32 [size.height, size.width]
cv::Mat make_anomaly_map(const at::Tensor& patch_scores, cv::Size size);

/// The map of a picture that was cut into tiles, without seams: where tiles overlap, each counts
/// the more the farther a pixel lies from its edge, and the Gaussian goes over the whole picture.
/// All of that is linear along each axis, so a tile's part is two small matrix products; beside the
/// map nothing of the picture's size exists. With one tile it is `make_anomaly_map`.
class AnomalyMapStitcher {
 public:
  explicit AnomalyMapStitcher(TileGrid tiles);

  /// Adds tile `index`, once each. @param patch_scores [h, w] float32 on the CPU
  void add(std::size_t index, const at::Tensor& patch_scores);
  /// float32, of the picture's size.
  cv::Mat take() { return std::move(map_); }

 private:
  /// The pixels that one tile has a part in, and the matrix [pixels, patches] that makes it.
  struct Part {
    int begin = 0;
    at::Tensor matrix;
  };
  static std::vector<Part> parts_of(const AxisTiles& axis, std::int64_t patches);

  TileGrid tiles_;
  cv::Mat map_;
  std::vector<Part> rows_, columns_;
};

/// A map as a picture, uint16 [H, W]: round(65535 x score), scores clamped to [0, 1].
cv::Mat map_picture(const cv::Mat& map);

/// `map_picture` as PNG.
void write_map_png(const std::filesystem::path& path, const cv::Mat& map);

/// A map as NumPy file: float32 [H, W], exact.
void write_map_npy(const std::filesystem::path& path, const cv::Mat& map);

/// The pixels above half way from a map's median to its highest value.
/// @param roi uint8 [H, W], above 0 on the pixels that count; empty: all of them
/// @return uint8 [H, W], 255 inside; all zero for a map that is constant.
cv::Mat hot_regions(const cv::Mat& map, const cv::Mat& roi = {});

/// Of the hot regions, the connected one around the highest value. @return as `hot_regions`
cv::Mat hottest_region(const cv::Mat& map, const cv::Mat& roi = {});

}  // namespace nagl
