#include "nagl/image/preprocess.h"

#include <opencv2/imgproc.hpp>

#include "nagl/core/error.h"

namespace nagl {
namespace {

constexpr float kMean[3] = {0.485F, 0.456F, 0.406F};
constexpr float kDeviation[3] = {0.229F, 0.224F, 0.225F};

}  // namespace

void parse(const std::string& name, MaskAlignment& alignment) {
  if (name != "aligned" && name != "published") {
    throw ConfigError("'" + name + "' is not one of aligned, published");
  }
  alignment = name == "aligned" ? MaskAlignment::kAligned : MaskAlignment::kPublished;
}

std::string to_string(MaskAlignment alignment) {
  return alignment == MaskAlignment::kAligned ? "aligned" : "published";
}

void check_picture(const cv::Mat& rgb) {
  if (rgb.empty() || rgb.type() != CV_8UC3) {
    throw DataError("a picture must be RGB, 8 bit a channel, and not empty");
  }
}

at::Tensor resize_like_pillow(const cv::Mat& rgb, ImageSize size) {
  check_picture(rgb);
  const cv::Mat packed = rgb.isContinuous() ? rgb : rgb.clone();
  const at::Tensor pixels =
      at::from_blob(packed.data, {1, packed.rows, packed.cols, 3}, at::kByte).permute({0, 3, 1, 2});
  return at::_upsample_bicubic2d_aa(pixels, {size.height, size.width}, false)[0].clone();
}

at::Tensor preprocess(const Image& image, ImageSize size) {
  at::Tensor pixels = resize_like_pillow(image.rgb, size).to(at::kFloat).contiguous().div_(255.0F);
  for (std::int64_t channel = 0; channel < 3; ++channel) {
    pixels[channel].sub_(kMean[channel]).div_(kDeviation[channel]);
  }
  return pixels;
}

at::Tensor resize_mask(const cv::Mat& mask, ImageSize size) {
  if (mask.empty() || mask.type() != CV_8U) {
    throw DataError("a mask must have one channel of 8 bit, and not be empty");
  }
  cv::Mat resized;
  cv::resize(mask, resized, cv::Size(static_cast<int>(size.width), static_cast<int>(size.height)),
             0, 0, cv::INTER_NEAREST);
  return at::from_blob(resized.data, {size.height, size.width}, at::kByte).gt(0).to(at::kByte);
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

MaskedInput prepare_masked(const Image& image, const std::vector<std::filesystem::path>& masks,
                           ImageSize size, std::int64_t patch, MaskAlignment alignment) {
  MaskedInput input;
  input.network_mask = resize_mask(read_masks_for(image, masks), size);
  input.patch_mask = mask_to_patches(input.network_mask, patch, alignment);
  input.pixels = preprocess(image, size);
  return input;
}

}  // namespace nagl
