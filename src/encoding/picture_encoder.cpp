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

at::Tensor PictureEncoder::encode(const at::Tensor& pixels) const {
  if (!*kept_) return backbone_->encode(pixels);
  std::vector<std::filesystem::path> files;
  std::vector<at::Tensor> rows;
  std::vector<std::int64_t> missing;
  for (std::int64_t i = 0; i < pixels.size(0); ++i) {
    files.push_back((*kept_)->file_of(pixels[i]));
    rows.push_back((*kept_)->find(files.back()));
    if (!rows.back().defined()) missing.push_back(i);
  }
  if (!missing.empty()) {
    const at::Tensor chosen = pixels.index_select(
        0, at::tensor(missing, at::TensorOptions().dtype(at::kLong)).to(pixels.device()));
    const at::Tensor encoded = backbone_->encode(chosen);
    for (std::size_t k = 0; k < missing.size(); ++k) {
      const auto i = static_cast<std::size_t>(missing[k]);
      rows[i] = encoded[static_cast<std::int64_t>(k)];
      (*kept_)->put(files[i], rows[i]);
    }
  }
  for (auto& row : rows) row = row.to(backbone_->device());
  return at::stack(rows);
}

void PictureEncoder::keep_features_in(const std::filesystem::path& folder) const {
  kept_->reset();
  if (folder.empty()) return;
  kept_->emplace(folder, fmt::format("{} {} {}", backbone_->checksum(), backbone_->layer(),
                                     to_string(backbone_->precision())));
}

at::Tensor PictureEncoder::patch_mask(const cv::Mat& mask) const {
  if (options_.mask_alignment == MaskAlignment::kAligned) {
    return marked_patches(mask, grid().rows, grid().columns);
  }
  return mask_to_patches(resize_mask(mask, options_.image_size), backbone_->patch(),
                         options_.mask_alignment);
}

}  // namespace nagl
