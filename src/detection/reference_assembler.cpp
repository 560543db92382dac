#include "nagl/detection/reference_assembler.h"

#include <algorithm>
#include <cmath>
#include <opencv2/imgproc.hpp>
#include <utility>

#include "nagl/image/alteration.h"
#include "nagl/nn/coreset.h"

namespace nagl {
namespace {

std::int64_t rows_kept(std::int64_t patches, double coreset) {
  return std::max<std::int64_t>(
      1, static_cast<std::int64_t>(std::ceil(coreset * static_cast<double>(patches) - 1e-9)));
}

}  // namespace

void for_each_view(const PictureEncoder& encoder, const cv::Mat& rgb, std::int64_t turns,
                   const std::function<void(const ReferenceView&, const cv::Mat& rgb)>& use) {
  const TileGrid tiles = encoder.tiles_of(rgb);
  for (std::int64_t turn = 0; turn < turns; ++turn) {
    Alteration turned;
    turned.degrees = 360.0 * static_cast<double>(turn) / static_cast<double>(turns);
    const cv::Mat picture = altered(rgb, turned);
    for (std::size_t i = 0; i < tiles.count(); ++i) use({turn, i}, picture(tiles.at(i)));
  }
}

std::vector<MarkedTile> marked_tiles(const PictureEncoder& encoder, const cv::Mat& rgb,
                                     const cv::Mat& mask) {
  const TileGrid tiles = encoder.tiles_of(rgb);
  cv::Mat marks = mask;
  if (tiles.count() > 1 && mask.size() != rgb.size()) {
    cv::resize(mask, marks, rgb.size(), 0, 0, cv::INTER_NEAREST);
  }
  std::vector<MarkedTile> marked;
  for (std::size_t i = 0; i < tiles.count(); ++i) {
    const cv::Mat own = tiles.count() > 1 ? marks(tiles.at(i)) : marks;
    const at::Tensor patch_mask = encoder.patch_mask(own);
    if (patch_mask.any().item<bool>()) marked.push_back({i, tiles.at(i), patch_mask});
  }
  return marked;
}

void ReferenceAssembler::Rows::append(const at::Tensor& rows) {
  const std::int64_t wanted = size_ + rows.size(0);
  if (!rows_.defined() || rows_.size(0) < wanted) {
    std::vector<std::int64_t> shape = {std::max(wanted, size_ + size_ / 2), rows.size(1)};
    at::Tensor larger = at::empty(shape, rows.options());
    if (size_ > 0) larger.slice(0, 0, size_).copy_(all());
    rows_ = larger;
  }
  rows_.slice(0, size_, wanted).copy_(rows);
  size_ = wanted;
}

ReferenceAssembler::ReferenceAssembler(double coreset, std::int64_t width, at::Device device)
    : coreset_(coreset) {
  normal_.append(at::empty({0, width}, at::TensorOptions().device(device)));
}

ReferenceAssembler::ReferenceAssembler(double coreset, const ReferenceFeatures& features,
                                       at::Device device)
    : ReferenceAssembler(coreset, features.normal.size(1), device) {
  normal_.append(features.normal.to(device));
  normal_rows_ = features.normal_rows;
  if (!features.abnormal.defined()) return;
  abnormal_.append(features.abnormal.to(device));
  patch_masks_.push_back(features.patch_mask.to(device));
  abnormal_views_ = features.abnormal_views;
}

std::int64_t ReferenceAssembler::begin_normal() {
  normal_rows_.push_back(0);
  return static_cast<std::int64_t>(normal_rows_.size()) - 1;
}

void ReferenceAssembler::add_normal(std::int64_t picture, const at::Tensor& features) {
  at::Tensor rows = features;
  if (coreset_ < 1) {
    const auto chosen =
        choose_coreset(features, normal_.all(), rows_kept(features.size(0), coreset_));
    rows = features.index_select(0, chosen.to(features.device()));
  }
  normal_.append(rows);
  normal_rows_[static_cast<std::size_t>(picture)] += rows.size(0);
}

void ReferenceAssembler::begin_abnormal(std::int64_t views) { abnormal_views_.push_back(views); }

void ReferenceAssembler::add_abnormal(const at::Tensor& features, const at::Tensor& patch_mask) {
  const at::Tensor mask = patch_mask.to(features.device());
  abnormal_.append(features.index({mask}));
  patch_masks_.push_back(mask.unsqueeze(0));
}

ReferenceFeatures ReferenceAssembler::features() const {
  ReferenceFeatures features;
  features.normal = normal_.all();
  features.normal_rows = normal_rows_;
  if (abnormal_.size() > 0) {
    features.abnormal = abnormal_.all();
    features.patch_mask = at::cat(patch_masks_);
    features.abnormal_views = abnormal_views_;
  }
  return features;
}

ReferenceFeatures ReferenceAssembler::take() {
  ReferenceFeatures taken = features();
  normal_ = abnormal_ = Rows();
  patch_masks_.clear();
  normal_rows_.clear();
  abnormal_views_.clear();
  return taken;
}

std::int64_t expected_rows(cv::Size picture, const PictureEncoder& encoder, std::int64_t turns,
                           double coreset) {
  const auto tiles =
      static_cast<std::int64_t>(cut_into_tiles(picture, encoder.options().tiling).count());
  return tiles * turns * rows_kept(encoder.grid().size(), coreset);
}

}  // namespace nagl
