#pragma once

#include <filesystem>
#include <opencv2/core/mat.hpp>

namespace at {
class Tensor;
}

namespace nagl {

/// The map of DESIGN 3.8: patch scores, bilinear to the picture's size, then a Gaussian of sigma 4
/// and radius 16 with a mirrored border.
/// @param patch_scores [h, w] float32 on the CPU
/// @return float32 [size.height, size.width]
cv::Mat make_anomaly_map(const at::Tensor& patch_scores, cv::Size size);

/// A map as 16-bit grey PNG: round(65535 x score), scores clamped to [0, 1].
void write_map_png(const std::filesystem::path& path, const cv::Mat& map);

/// A map as NumPy file: float32 [H, W], exact.
void write_map_npy(const std::filesystem::path& path, const cv::Mat& map);

/// The hottest region of a map: the connected pixels around its highest value that lie above half
/// way from its median to that value.
/// @param roi uint8 [H, W], above 0 on the pixels that count; empty: all of them
/// @return uint8 [H, W], 255 inside; all zero for a map that is constant.
cv::Mat hottest_region(const cv::Mat& map, const cv::Mat& roi = {});

}  // namespace nagl
