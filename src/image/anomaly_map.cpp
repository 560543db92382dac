#include "nagl/image/anomaly_map.h"

#include <fmt/format.h>
#include <torch/torch.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <opencv2/core.hpp>
#include <opencv2/imgproc.hpp>
#include <vector>

#include "nagl/core/atomic_file.h"
#include "nagl/image/image.h"

namespace nagl {
namespace {

constexpr double kBlurSigma = 4.0;
constexpr int kBlurRadius = 16;

double median(const cv::Mat& map, const cv::Mat& roi) {
  std::vector<float> values;
  values.reserve(map.total());
  for (int y = 0; y < map.rows; ++y) {
    for (int x = 0; x < map.cols; ++x) {
      if (roi.empty() || roi.at<unsigned char>(y, x) > 0) values.push_back(map.at<float>(y, x));
    }
  }
  const auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
  std::nth_element(values.begin(), middle, values.end());
  return *middle;
}

/// Index `i` of `length` values, continued by mirroring with the edge repeated.
std::int64_t mirrored(std::int64_t i, std::int64_t length) {
  while (i < 0 || i >= length) i = i < 0 ? -1 - i : 2 * length - 1 - i;
  return i;
}

/// The matrix that brings `patches` values along an axis to `length` (bilinear, half-pixel centres,
/// edge clamped) and then smooths them (Gaussian, border mirrored). @return [length, patches]
/// float32
at::Tensor stretch_and_blur(std::int64_t patches, std::int64_t length) {
  std::vector<double> kernel;
  double sum = 0;
  for (int i = -kBlurRadius; i <= kBlurRadius; ++i) {
    kernel.push_back(std::exp(-i * i / (2 * kBlurSigma * kBlurSigma)));
    sum += kernel.back();
  }
  at::Tensor matrix = at::zeros({length, patches}, at::kDouble);
  double* row = matrix.data_ptr<double>();
  const double scale = static_cast<double>(patches) / static_cast<double>(length);
  for (std::int64_t y = 0; y < length; ++y, row += patches) {
    for (int i = -kBlurRadius; i <= kBlurRadius; ++i) {
      const auto from = static_cast<double>(mirrored(y + i, length));
      const double place =
          std::clamp((from + 0.5) * scale - 0.5, 0.0, static_cast<double>(patches - 1));
      const auto low = static_cast<std::int64_t>(place);
      const std::int64_t high = std::min(low + 1, patches - 1);
      const double weight = kernel[static_cast<std::size_t>(i + kBlurRadius)] / sum;
      row[low] += weight * (1 - (place - static_cast<double>(low)));
      row[high] += weight * (place - static_cast<double>(low));
    }
  }
  return matrix.to(at::kFloat);
}

}  // namespace

cv::Mat make_anomaly_map(const at::Tensor& patch_scores, cv::Size size) {
  // Both steps are linear and work along each axis alone, so together they are one small matrix an
  // axis: rows x scores x columns. For a picture of a megapixel that is ten times faster than
  // filtering all its pixels.
  const at::Tensor scores = patch_scores.to(at::kFloat).contiguous();
  const at::Tensor rows = stretch_and_blur(scores.size(0), size.height);
  const at::Tensor columns = stretch_and_blur(scores.size(1), size.width);
  cv::Mat map(size, CV_32F);
  at::Tensor values = at::from_blob(map.data, {size.height, size.width}, at::kFloat);
  at::mm_out(values, at::mm(rows, scores), columns.t());
  return map;
}

void write_map_png(const std::filesystem::path& path, const cv::Mat& map) {
  cv::Mat stored;
  map.convertTo(stored, CV_16U, 65535.0);  // rounds and saturates
  write_png(path, stored);
}

void write_map_npy(const std::filesystem::path& path, const cv::Mat& map) {
  static_assert(std::endian::native == std::endian::little);
  std::string header = fmt::format(
      "{{'descr': '<f4', 'fortran_order': False, 'shape': ({}, {}), }}", map.rows, map.cols);
  constexpr std::size_t kPreamble = 10, kAlignment = 64;
  const std::size_t unpadded = kPreamble + header.size() + 1;
  header.append((kAlignment - unpadded % kAlignment) % kAlignment, ' ');
  header += '\n';
  const auto length = static_cast<unsigned>(header.size());
  AtomicFile file(path);
  file.write(std::string_view("\x93NUMPY\x01\x00", 8));
  const char length_bytes[2] = {static_cast<char>(length & 0xFF), static_cast<char>(length >> 8)};
  file.write(length_bytes, 2);
  file.write(header);
  for (int row = 0; row < map.rows; ++row) {
    file.write(map.ptr<float>(row), static_cast<std::size_t>(map.cols) * sizeof(float));
  }
  file.commit();
}

cv::Mat hottest_region(const cv::Mat& map, const cv::Mat& roi) {
  if (!roi.empty() && cv::countNonZero(roi) == 0) return cv::Mat::zeros(map.size(), CV_8U);
  double peak = 0;
  cv::Point where;
  cv::minMaxLoc(map, nullptr, &peak, nullptr, &where, roi);
  cv::Mat above = map > 0.5 * (median(map, roi) + peak);
  if (!roi.empty()) above.setTo(0, roi == 0);
  if (above.at<unsigned char>(where) == 0) return cv::Mat::zeros(map.size(), CV_8U);
  cv::Mat components;
  cv::connectedComponents(above, components, 8, CV_32S);
  return components == components.at<int>(where);
}

}  // namespace nagl
