#include "nagl/image/preprocess.h"

#include <opencv2/imgproc.hpp>
#include <vector>

#include "nagl/core/device.h"
#include "nagl/core/error.h"

namespace nagl {
namespace {

constexpr float kMean[3] = {0.485F, 0.456F, 0.406F};
constexpr float kDeviation[3] = {0.229F, 0.224F, 0.225F};

/// [3, H, W] uint8, channels last, sharing the picture's memory where it is in one piece.
at::Tensor pixels_of(const cv::Mat& rgb) {
  check_picture(rgb);
  const cv::Mat packed = rgb.isContinuous() ? rgb : rgb.clone();
  return at::from_blob(
             packed.data, {packed.rows, packed.cols, 3}, [packed](void*) {}, at::kByte)
      .permute({2, 0, 1});
}

void check_mask(const cv::Mat& mask) {
  if (mask.empty() || mask.type() != CV_8U) {
    throw DataError("a mask must have one channel of 8 bit, and not be empty");
  }
}

}  // namespace

void check_picture(const cv::Mat& rgb) {
  if (rgb.empty() || rgb.type() != CV_8UC3) {
    throw DataError("a picture must be RGB, 8 bit a channel, and not empty");
  }
}

at::Tensor resize_like_pillow(const cv::Mat& rgb, ImageSize size) {
  return at::_upsample_bicubic2d_aa(pixels_of(rgb).unsqueeze(0), {size.height, size.width},
                                    false)[0]
      .clone();
}

at::Tensor resize_in_floats(const at::Tensor& pixels, ImageSize size) {
  const auto along = [](const at::Tensor& values, std::int64_t height, std::int64_t width) {
    return at::_upsample_bicubic2d_aa(values, {height, width}, false).clamp_(0, 255).round_();
  };
  const at::Tensor values = pixels.unsqueeze(0).to(at::kFloat).contiguous();
  return along(along(values, values.size(2), size.width), size.height, size.width)[0];
}

at::Tensor preprocess(const cv::Mat& rgb, ImageSize size, at::Device device) {
  at::Tensor pixels;
  if (device.is_cpu()) {
    pixels = resize_like_pillow(rgb, size).to(at::kFloat).contiguous();
  } else {
    pixels = resize_in_floats(upload(pixels_of(rgb), device), size);
  }
  pixels.div_(255.0F);
  for (std::int64_t channel = 0; channel < 3; ++channel) {
    pixels[channel].sub_(kMean[channel]).div_(kDeviation[channel]);
  }
  return pixels;
}

at::Tensor resize_mask(const cv::Mat& mask, ImageSize size) {
  check_mask(mask);
  cv::Mat resized;
  cv::resize(mask, resized, cv::Size(static_cast<int>(size.width), static_cast<int>(size.height)),
             0, 0, cv::INTER_NEAREST);
  return at::from_blob(resized.data, {size.height, size.width}, at::kByte).gt(0).to(at::kByte);
}

at::Tensor marked_patches(const cv::Mat& mask, std::int64_t rows, std::int64_t columns) {
  check_mask(mask);
  at::Tensor patches = at::zeros({rows, columns}, at::kBool);
  auto marked = patches.accessor<bool, 2>();
  // The patch in which pixel i of n has its centre, and the pixel that holds the centre of a patch.
  const auto patch_of = [](std::int64_t i, std::int64_t n, std::int64_t all) {
    return (2 * i + 1) * all / (2 * n);
  };
  std::vector<std::int64_t> column_of(static_cast<std::size_t>(mask.cols));
  for (int x = 0; x < mask.cols; ++x) {
    column_of[static_cast<std::size_t>(x)] = patch_of(x, mask.cols, columns);
  }
  for (int y = 0; y < mask.rows; ++y) {
    const std::uint8_t* row = mask.ptr(y);
    const std::int64_t r = patch_of(y, mask.rows, rows);
    for (std::size_t x = 0; x < column_of.size(); ++x) {
      if (row[x] != 0) marked[r][column_of[x]] = true;
    }
  }
  if (mask.rows >= rows && mask.cols >= columns) return patches.flatten();
  for (std::int64_t r = 0; r < rows; ++r) {
    const std::uint8_t* row = mask.ptr(static_cast<int>(patch_of(r, rows, mask.rows)));
    for (std::int64_t c = 0; c < columns; ++c) {
      if (row[patch_of(c, columns, mask.cols)] != 0) marked[r][c] = true;
    }
  }
  return patches.flatten();
}

at::Tensor mask_to_patches(const at::Tensor& network_mask, std::int64_t patch,
                           MaskAlignment alignment) {
  at::Tensor mask = network_mask.gt(0);
  const std::int64_t height = mask.size(0), width = mask.size(1);
  if (alignment == MaskAlignment::kPublished) {
    mask = at::constant_pad_nd(mask, {1, 0, 1, 0}).slice(0, 0, height).slice(1, 0, width);
  }
  return mask.reshape({height / patch, patch, width / patch, patch}).any(3).any(1).flatten();
}

}  // namespace nagl
