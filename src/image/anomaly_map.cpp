#include "nagl/image/anomaly_map.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <opencv2/core.hpp>
#include <opencv2/imgproc.hpp>
#include <vector>

#include "nagl/core/atomic_file.h"
#include "nagl/core/torch.h"
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

const std::vector<double>& blur_kernel() {
  static const std::vector<double> kernel = [] {
    std::vector<double> values;
    double sum = 0;
    for (int i = -kBlurRadius; i <= kBlurRadius; ++i) {
      values.push_back(std::exp(-i * i / (2 * kBlurSigma * kBlurSigma)));
      sum += values.back();
    }
    for (double& value : values) value /= sum;
    return values;
  }();
  return kernel;
}

/// How much each tile counts at each pixel of an axis: in proportion to the distance from its
/// nearer edge, and 1 over all tiles. @return [tiles][tile length]
std::vector<std::vector<double>> shares_of(const AxisTiles& axis) {
  const auto distance = [&](int at) { return std::min(at, axis.tile - 1 - at) + 0.5; };
  std::vector<double> sums(static_cast<std::size_t>(axis.length));
  for (const int begin : axis.begins) {
    for (int i = 0; i < axis.tile; ++i) sums[static_cast<std::size_t>(begin + i)] += distance(i);
  }
  std::vector<std::vector<double>> shares;
  for (const int begin : axis.begins) {
    auto& own = shares.emplace_back();
    for (int i = 0; i < axis.tile; ++i) {
      own.push_back(distance(i) / sums[static_cast<std::size_t>(begin + i)]);
    }
  }
  return shares;
}

}  // namespace

AnomalyMapStitcher::AnomalyMapStitcher(TileGrid tiles)
    : tiles_(std::move(tiles)),
      map_(cv::Mat::zeros(tiles_.rows.length, tiles_.columns.length, CV_32F)) {}

/// Brings patch scores along the axis to pixels (bilinear, half-pixel centres, edge clamped), takes
/// the tile's share, and smooths with the picture's border mirrored.
std::vector<AnomalyMapStitcher::Part> AnomalyMapStitcher::parts_of(const AxisTiles& axis,
                                                                   std::int64_t patches) {
  const auto shares = shares_of(axis);
  const double scale = static_cast<double>(patches) / axis.tile;
  std::vector<Part> parts;
  for (std::size_t tile = 0; tile < axis.begins.size(); ++tile) {
    const int first = axis.begins[tile];
    Part part;
    part.begin = std::max(0, first - kBlurRadius);
    const int end = std::min(axis.length, first + axis.tile + kBlurRadius);
    at::Tensor matrix = at::zeros({end - part.begin, patches}, at::kDouble);
    double* row = matrix.data_ptr<double>();
    for (int y = part.begin; y < end; ++y, row += patches) {
      for (int i = -kBlurRadius; i <= kBlurRadius; ++i) {
        const auto from = static_cast<int>(mirrored(y + i, axis.length)) - first;
        if (from < 0 || from >= axis.tile) continue;
        const double place =
            std::clamp((from + 0.5) * scale - 0.5, 0.0, static_cast<double>(patches - 1));
        const auto low = static_cast<std::int64_t>(place);
        const std::int64_t high = std::min(low + 1, patches - 1);
        const double weight = blur_kernel()[static_cast<std::size_t>(i + kBlurRadius)] *
                              shares[tile][static_cast<std::size_t>(from)];
        row[low] += weight * (1 - (place - static_cast<double>(low)));
        row[high] += weight * (place - static_cast<double>(low));
      }
    }
    part.matrix = matrix.to(at::kFloat);
    parts.push_back(std::move(part));
  }
  return parts;
}

void AnomalyMapStitcher::add(std::size_t index, const at::Tensor& patch_scores) {
  const at::Tensor scores = patch_scores.to(at::kFloat).contiguous();
  if (rows_.empty()) {
    rows_ = parts_of(tiles_.rows, scores.size(0));
    columns_ = parts_of(tiles_.columns, scores.size(1));
  }
  const std::size_t across = tiles_.columns.begins.size();
  const Part& rows = rows_.at(index / across);
  const Part& columns = columns_.at(index % across);
  at::Tensor all =
      at::from_blob(map_.data, {tiles_.rows.length, tiles_.columns.length}, at::kFloat);
  at::Tensor own = all.slice(0, rows.begin, rows.begin + rows.matrix.size(0))
                       .slice(1, columns.begin, columns.begin + columns.matrix.size(0));
  own.addmm_(at::mm(rows.matrix, scores), columns.matrix.t());
}

cv::Mat make_anomaly_map(const at::Tensor& patch_scores, cv::Size size) {
  AnomalyMapStitcher stitcher(cut_into_tiles(size, TilingOptions()));
  stitcher.add(0, patch_scores);
  return stitcher.take();
}

cv::Mat map_picture(const cv::Mat& map) {
  cv::Mat picture;
  map.convertTo(picture, CV_16U, 65535.0);  // rounds and saturates
  return picture;
}

void write_map_png(const std::filesystem::path& path, const cv::Mat& map) {
  write_png(path, map_picture(map));
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

cv::Mat hot_regions(const cv::Mat& map, const cv::Mat& roi) {
  if (!roi.empty() && cv::countNonZero(roi) == 0) return cv::Mat::zeros(map.size(), CV_8U);
  double peak = 0;
  cv::minMaxLoc(map, nullptr, &peak, nullptr, nullptr, roi);
  cv::Mat above = map > 0.5 * (median(map, roi) + peak);
  if (!roi.empty()) above.setTo(0, roi == 0);
  return above;
}

cv::Mat hottest_region(const cv::Mat& map, const cv::Mat& roi) {
  const cv::Mat hot = hot_regions(map, roi);
  if (cv::countNonZero(hot) == 0) return hot;
  cv::Point where;
  cv::minMaxLoc(map, nullptr, nullptr, nullptr, &where, roi);
  cv::Mat components;
  cv::connectedComponents(hot, components, 8, CV_32S);
  return components == components.at<int>(where);
}

}  // namespace nagl
