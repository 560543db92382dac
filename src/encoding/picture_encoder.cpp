#include "nagl/encoding/picture_encoder.h"

#include <fmt/format.h>

#include "nagl/core/error.h"

namespace nagl {

PictureEncoder::PictureEncoder(std::shared_ptr<const Backbone> backbone, EncodingOptions options,
                               std::int64_t batch_size)
    : backbone_(std::move(backbone)), options_(std::move(options)), batch_size_(batch_size) {
  options_.check();
  backbone_->check_image_size(options_.image_size.height, options_.image_size.width);
  if (options_.layer && *options_.layer != backbone_->layer()) {
    throw ConfigError(
        fmt::format("features of layer {} are asked for, but the backbone '{}' gives "
                    "those of layer {}; load it for that layer",
                    *options_.layer, backbone_->path().string(), backbone_->layer()));
  }
  options_.layer = backbone_->layer();
  options_.precision = backbone_->precision();
}

PatchGrid PictureEncoder::grid() const {
  return {options_.image_size.height / backbone_->patch(),
          options_.image_size.width / backbone_->patch()};
}

TileGrid PictureEncoder::tiles_of(const cv::Mat& picture) const {
  return cut_into_tiles(picture.size(), options_.tiling);
}

at::Tensor PictureEncoder::pixels(const cv::Mat& rgb) const {
  return preprocess(rgb, options_.image_size, backbone_->device());
}

at::Tensor PictureEncoder::patch_mask(const cv::Mat& mask) const {
  if (options_.mask_alignment == MaskAlignment::kAligned) {
    return marked_patches(mask, grid().rows, grid().columns);
  }
  return mask_to_patches(resize_mask(mask, options_.image_size), backbone_->patch(),
                         options_.mask_alignment);
}

}  // namespace nagl
