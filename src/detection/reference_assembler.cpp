#include "nagl/detection/reference_assembler.h"

#include <algorithm>
#include <cmath>
#include <opencv2/imgproc.hpp>
#include <tuple>
#include <utility>

#include "bank_size.h"
#include "nagl/core/error.h"
#include "nagl/detection/query.h"
#include "nagl/nn/coreset.h"

namespace nagl {
namespace {

std::int64_t rows_kept(std::int64_t patches, double coreset) {
  return std::max<std::int64_t>(
      1, static_cast<std::int64_t>(std::ceil(coreset * static_cast<double>(patches) - 1e-9)));
}

std::vector<FeatureMoments> as_kept(std::vector<FeatureMoments> all) {
  for (auto& moments : all) moments = moments.as_kept();
  return all;
}

}  // namespace

Alteration turn_of(std::int64_t turn, std::int64_t turns) {
  Alteration turned;
  turned.degrees = 360.0 * static_cast<double>(turn) / static_cast<double>(turns);
  return turned;
}

void for_each_view(const PictureEncoder& encoder, const cv::Mat& rgb, std::int64_t turns,
                   const std::function<void(const ReferenceView&, const cv::Mat& rgb)>& use) {
  for (std::int64_t turn = 0; turn < turns; ++turn) {
    const cv::Mat picture = altered(rgb, turn_of(turn, turns));
    const TileGrid tiles = encoder.tiles_of(picture);  // a quarter turn swaps the sides
    for (std::size_t i = 0; i < tiles.count(); ++i) use({turn, i}, picture(tiles.at(i)));
  }
}

namespace {

/// The patches of a tile and of a margin around it that a mask marks, on the tile's grid continued
/// beyond its edges.
/// @param inner [N] bool, those of the tile itself
/// @return [1, (rows + 2 margins) x (columns + 2 margins)] bool
at::Tensor marked_with_margin(const cv::Mat& marks, const cv::Rect& tile, const at::Tensor& inner,
                              PatchGrid grid) {
  constexpr std::int64_t kMargin = kMaskMargin;
  const PatchGrid wide{grid.rows + 2 * kMargin, grid.columns + 2 * kMargin};
  const double height = static_cast<double>(tile.height) / static_cast<double>(grid.rows);
  const double width = static_cast<double>(tile.width) / static_cast<double>(grid.columns);
  const cv::Rect picture({0, 0}, marks.size());
  at::Tensor marked = at::zeros({wide.rows, wide.columns}, at::kBool);
  const auto edge = [](int begin, double patch, std::int64_t index) {
    return begin + static_cast<int>(std::floor(patch * static_cast<double>(index)));
  };
  for (std::int64_t row = -kMargin; row < grid.rows + kMargin; ++row) {
    for (std::int64_t column = -kMargin; column < grid.columns + kMargin; ++column) {
      const bool inside = row >= 0 && row < grid.rows && column >= 0 && column < grid.columns;
      if (inside) continue;
      const cv::Point first(edge(tile.x, width, column), edge(tile.y, height, row));
      const cv::Point end(edge(tile.x, width, column + 1), edge(tile.y, height, row + 1));
      const cv::Rect window = cv::Rect(first, end) & picture;
      if (!window.empty() && cv::countNonZero(marks(window)) > 0) {
        marked[row + kMargin][column + kMargin] = true;
      }
    }
  }
  marked.slice(0, kMargin, kMargin + grid.rows)
      .slice(1, kMargin, kMargin + grid.columns)
      .copy_(inner.reshape({grid.rows, grid.columns}));
  return marked.reshape({1, wide.size()});
}

at::Tensor clear_in_tile(const cv::Mat& marks, const cv::Rect& tile, const at::Tensor& inner,
                         PatchGrid grid) {
  if (tile.size() == marks.size()) return clear_of(inner.unsqueeze(0), grid)[0];
  constexpr std::int64_t kMargin = kMaskMargin;
  const PatchGrid wide{grid.rows + 2 * kMargin, grid.columns + 2 * kMargin};
  return clear_of(marked_with_margin(marks, tile, inner, grid), wide)
      .reshape({wide.rows, wide.columns})
      .slice(0, kMargin, kMargin + grid.rows)
      .slice(1, kMargin, kMargin + grid.columns)
      .flatten();
}

}  // namespace

std::vector<DefectView> defect_views(const PictureEncoder& encoder, const cv::Mat& rgb,
                                     const cv::Mat& mask, bool with_surroundings) {
  const TileGrid tiles = encoder.tiles_of(rgb);
  cv::Mat marks = mask;
  if (tiles.count() > 1 && mask.size() != rgb.size()) {
    cv::resize(mask, marks, rgb.size(), 0, 0, cv::INTER_NEAREST);
  }
  std::vector<DefectView> views;
  bool marked = false;
  for (std::size_t i = 0; i < tiles.count(); ++i) {
    const cv::Rect area = tiles.count() > 1 ? tiles.at(i) : cv::Rect({0, 0}, marks.size());
    const at::Tensor patch_mask = encoder.patch_mask(marks(area));
    const bool shows = patch_mask.any().item<bool>();
    marked = marked || shows;
    if (!shows && !with_surroundings) continue;
    views.push_back(
        {i, tiles.at(i), patch_mask, clear_in_tile(marks, area, patch_mask, encoder.grid())});
  }
  return marked ? views : std::vector<DefectView>();
}

CountedPatches::CountedPatches(const PictureEncoder& encoder, const cv::Mat& roi,
                               std::int64_t turns) {
  if (roi.empty()) return;
  for (std::int64_t turn = 0; turn < std::max<std::int64_t>(1, turns); ++turn) {
    inside_.push_back(patches_inside(encoder, altered(roi, turn_of(turn, turns))));
  }
  if (!inside_.front().any().item<bool>()) {
    throw DataError("the region of interest is empty; mark where to look with values above 0");
  }
}

at::Tensor CountedPatches::inside(std::int64_t turn) const {
  return inside_.empty() ? at::Tensor() : inside_.at(static_cast<std::size_t>(turn));
}

at::Tensor CountedPatches::rows(const at::Tensor& features, std::int64_t turn) const {
  const at::Tensor counted = inside(turn);
  return counted.defined() ? features.index({counted.to(features.device())}) : features;
}

void CountedPatches::restrict(std::vector<DefectView>& views) const {
  const at::Tensor counted = inside(0);
  if (!counted.defined()) return;
  bool shows = false;
  for (auto& view : views) {
    view.patch_mask = view.patch_mask.logical_and(counted);
    view.clear = view.clear.logical_and(counted);
    shows = shows || view.patch_mask.any().item<bool>();
  }
  if (!shows) views.clear();
}

void ReferenceAssembler::Rows::append(const at::Tensor& rows) {
  const std::int64_t wanted = size_ + rows.size(0);
  if (!rows_.defined() || rows_.size(0) < wanted) {
    std::vector<std::int64_t> shape = rows.sizes().vec();
    shape[0] = std::max(wanted, size_ + size_ / 2);
    at::Tensor larger = at::empty(shape, rows.options());
    if (size_ > 0) larger.slice(0, 0, size_).copy_(all());
    rows_ = larger;
  }
  rows_.slice(0, size_, wanted).copy_(rows);
  size_ = wanted;
}

ReferenceAssembler::ReferenceAssembler(const BankOptions& options, std::int64_t width,
                                       at::Device device, const at::Tensor& counted)
    : coreset_(options.coreset),
      thinned_(options.coreset < 1),
      turns_(options.turns),
      counted_(counted),
      with_surroundings_(uses_surroundings(options.method)) {
  normal_.append(at::empty({0, width}, at::TensorOptions().device(device)));
  surroundings_.append(at::empty({0, width}, at::TensorOptions().device(device)));
}

ReferenceAssembler::ReferenceAssembler(const BankOptions& options,
                                       const ReferenceFeatures& features, at::Device device)
    : ReferenceAssembler(options, features.normal.size(1), device, features.counted) {
  go_on_from(features.on(device));
}

void ReferenceAssembler::go_on_from(const ReferenceFeatures& there) {
  thinned_ = there.thinned || coreset_ < 1;
  merged_ = there.merged;
  normal_.append(there.normal);
  if (there.normal_novelty.defined()) normal_novelty_.append(there.normal_novelty);
  normal_rows_ = there.normal_rows;
  moments_ = there.normal_moments;
  abnormal_moments_ = there.abnormal_moments;
  surroundings_.append(there.surroundings.defined() ? there.surroundings
                                                    : there.normal.slice(0, 0, 0));
  if (!there.abnormal.defined()) return;
  abnormal_.append(there.abnormal);
  patch_masks_.push_back(there.patch_mask);
  abnormal_views_ = there.abnormal_views;
  if (!there.surroundings.defined()) return;
  if (there.surroundings_novelty.defined()) {
    surroundings_novelty_.append(there.surroundings_novelty);
  }
  clear_.push_back(there.clear);
  drawn_.push_back(there.drawn);
}

void ReferenceAssembler::begin_thinning() {
  if (thinned_) return;
  // The moments of all rows so far; those of a picture of a defect that is being added come later.
  ReferenceFeatures whole = features();
  moments_ = as_kept(whole.normal_moments);
  const std::size_t begun = abnormal_moments_.size();
  abnormal_moments_ = as_kept(whole.abnormal_moments);
  abnormal_moments_.resize(begun);
  thinned_ = true;
}

std::int64_t ReferenceAssembler::row_bytes() const {
  std::int64_t views = 0;
  for (const auto& masks : patch_masks_) views += masks.size(0);
  return row_bytes_of(normal_.size() + surroundings_.size(), abnormal_.size(),
                      normal_.all().size(1), views, views > 0 ? patch_masks_.front().size(1) : 0);
}

void ReferenceAssembler::keep_within(std::int64_t bytes) {
  if (row_bytes() <= bytes) return;
  ReferenceFeatures all = features();
  thin_rows(all, bytes);
  take();
  go_on_from(all);
}

std::int64_t ReferenceAssembler::begin_normal() {
  normal_rows_.push_back(0);
  if (with_surroundings_) moments_.emplace_back();
  return static_cast<std::int64_t>(normal_rows_.size()) - 1;
}

void ReferenceAssembler::add_normal(std::int64_t picture, const at::Tensor& features, bool turned,
                                    const at::Tensor& kept) {
  if (kept.defined()) begin_thinning();
  const auto index = static_cast<std::size_t>(picture);
  if (thinned_ && with_surroundings_ && !turned) {
    moments_[index] = moments_[index].with(FeatureMoments::of(unit_rows(features)));
  }
  at::Tensor rows = kept.defined() ? features.index({kept.to(features.device())}) : features;
  const bool rated = normal_novelty_.defined();
  if (rows.size(0) > 0 && (coreset_ < 1 || rated)) {
    const std::int64_t count = kept.defined() ? rows.size(0) : rows_kept(rows.size(0), coreset_);
    const CoresetChoice choice = choose_coreset(rows, normal_.all(), count);
    rows = rows.index_select(0, choice.rows.to(rows.device()));
    if (rated) normal_novelty_.append(choice.novelty);
  }
  normal_.append(rows);
  normal_rows_[index] += rows.size(0);
}

void ReferenceAssembler::begin_abnormal(std::int64_t views) {
  abnormal_views_.push_back(views);
  if (with_surroundings_) abnormal_moments_.emplace_back();
}

void ReferenceAssembler::add_abnormal(const at::Tensor& features, const at::Tensor& patch_mask,
                                      const at::Tensor& clear, MaskOrigin origin) {
  const at::Tensor mask = patch_mask.to(features.device());
  abnormal_.append(features.index({mask}));
  patch_masks_.push_back(mask.unsqueeze(0));
  if (!with_surroundings_) return;
  at::Tensor kept = clear.to(features.device());
  at::Tensor rows = features.index({kept});
  if (thinned_ && rows.size(0) > 0) {
    abnormal_moments_.back() = abnormal_moments_.back().with(FeatureMoments::of(unit_rows(rows)));
    const bool rated = normal_novelty_.defined();
    if (coreset_ < 1 || rated) {
      const CoresetChoice choice =
          choose_coreset(rows, surroundings_.all(), rows_kept(rows.size(0), coreset_));
      const auto [places, order] = choice.rows.sort();  // as they lie
      const at::Tensor chosen = places.to(rows.device());
      if (rated) surroundings_novelty_.append(choice.novelty.index_select(0, order));
      kept = at::zeros_like(kept).index_fill_(0, kept.nonzero().squeeze(1).index_select(0, chosen),
                                              true);
      rows = rows.index_select(0, chosen);
    }
  }
  surroundings_.append(rows);
  clear_.push_back(kept.unsqueeze(0));
  drawn_.push_back(at::full({1}, origin == MaskOrigin::kDrawn, mask.options()));
}

ReferenceFeatures ReferenceAssembler::with_moments(ReferenceFeatures features) const {
  if (with_surroundings_ && !features.thinned) features.compute_moments();
  return features;
}

ReferenceFeatures ReferenceAssembler::features() const {
  ReferenceFeatures features;
  features.normal = normal_.all();
  features.normal_novelty = normal_novelty_.all();
  features.normal_rows = normal_rows_;
  features.turns = turns_;
  features.counted = counted_;
  features.merged = merged_;
  features.thinned = thinned_;
  if (features.thinned) {
    features.normal_moments = as_kept(moments_);
    features.abnormal_moments = as_kept(abnormal_moments_);
  }
  if (abnormal_.size() == 0) return with_moments(std::move(features));
  features.abnormal = abnormal_.all();
  features.patch_mask = at::cat(patch_masks_);
  features.abnormal_views = abnormal_views_;
  if (!with_surroundings_) return features;
  features.surroundings = surroundings_.all();
  features.surroundings_novelty = surroundings_novelty_.all();
  features.clear = at::cat(clear_);
  features.drawn = at::cat(drawn_);
  return with_moments(std::move(features));
}

ReferenceFeatures ReferenceAssembler::take() {
  ReferenceFeatures taken = features();
  normal_ = abnormal_ = surroundings_ = normal_novelty_ = surroundings_novelty_ = Rows();
  patch_masks_.clear();
  clear_.clear();
  drawn_.clear();
  moments_.clear();
  abnormal_moments_.clear();
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
