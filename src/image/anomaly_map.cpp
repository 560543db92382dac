#include "nagl/image/anomaly_map.h"

#include <fmt/format.h>
#include <torch/torch.h>

#include <algorithm>
#include <bit>
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

}  // namespace

cv::Mat make_anomaly_map(const at::Tensor& patch_scores, cv::Size size) {
  const at::Tensor scores = patch_scores.contiguous();
  const cv::Mat patches(static_cast<int>(scores.size(0)), static_cast<int>(scores.size(1)), CV_32F,
                        scores.data_ptr<float>());
  cv::Mat map;
  cv::resize(patches, map, size, 0, 0, cv::INTER_LINEAR);
  constexpr int kSide = 2 * kBlurRadius + 1;
  cv::GaussianBlur(map, map, cv::Size(kSide, kSide), kBlurSigma, kBlurSigma, cv::BORDER_REFLECT);
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
