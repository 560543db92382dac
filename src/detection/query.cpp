#include "nagl/detection/query.h"

#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <opencv2/core.hpp>
#include <opencv2/imgproc.hpp>

#include "nagl/core/error.h"
#include "nagl/image/anomaly_map.h"
#include "nagl/image/mask.h"
#include "nagl/image/preprocess.h"
#include "nagl/model/reference_bank.h"

namespace nagl {

at::Tensor patches_inside(const PictureEncoder& encoder, const cv::Mat& roi) {
  return marked_patches(roi, encoder.grid().rows, encoder.grid().columns);
}

void check_roi(const Image& image, const cv::Mat& roi) {
  if (roi.empty() || same_proportions(roi.size(), image.rgb.size())) return;
  throw DataError(fmt::format(
      "'{}' is {}x{}, of other proportions than the bank's region of interest ({}x{}); cut it as "
      "the references were, or enroll again",
      image.path.string(), image.rgb.cols, image.rgb.rows, roi.cols, roi.rows));
}

cv::Mat common_roi(const cv::Mat& a, const cv::Mat& b) {
  if (a.empty() || b.empty()) return a.empty() ? b : a;
  const bool first = a.total() > b.total();
  const cv::Mat& large = first ? a : b;
  cv::Mat small;
  cv::resize(first ? b : a, small, large.size(), 0, 0, cv::INTER_NEAREST);
  return (large > 0) & (small > 0);
}

Query within(const Query& query, const cv::Mat& roi) {
  if (roi.empty()) return query;
  check_roi(query.image, roi);
  Query limited = query;
  limited.roi = common_roi(query.roi, roi);
  return limited;
}

QueryTiles::QueryTiles(const PictureEncoder& encoder, const Query& query)
    : grid_(encoder.grid()),
      size_(query.image.rgb.size()),
      tiles_(encoder.tiles_of(query.image.rgb)) {
  check_picture(query.image.rgb);
  if (query.roi.empty()) {
    for (std::size_t i = 0; i < tiles_.count(); ++i) wanted_.push_back(i);
    return;
  }
  // By area where it shrinks, so that what is thinner than a pixel is not lost.
  cv::resize(query.roi > 0, roi_, size_, 0, 0,
             query.roi.cols > size_.width ? cv::INTER_AREA : cv::INTER_NEAREST);
  for (std::size_t i = 0; i < tiles_.count(); ++i) {
    // Of a whole picture the ROI counts as it is: a resized one may have lost thin lines.
    inside_.push_back(patches_inside(encoder, tiles_.count() > 1 ? roi_(tiles_.at(i)) : query.roi));
    if (inside_.back().any().item<bool>()) wanted_.push_back(i);
  }
  if (wanted_.empty()) {
    throw DataError("the region of interest of '" + query.image.path.string() +
                    "' is empty; mark where to look with values above 0");
  }
}

PictureScores QueryTiles::scores(const std::vector<at::Tensor>& scores,
                                 const ScoreRules& rules) const {
  constexpr double kInfinity = std::numeric_limits<double>::infinity();
  PictureScores picture;
  picture.tiles_ = shared_from_this();
  picture.range_ = rules.range;
  picture.image_score_ = -kInfinity;
  picture.lowest_ = kInfinity;
  std::vector<at::Tensor> all(tiles_.count());
  for (std::size_t i = 0; i < wanted_.size(); ++i) {
    const std::size_t tile = wanted_[i];
    all[tile] = scores[i];
    at::Tensor counted = scores[i];
    if (!inside_.empty()) {
      const at::Tensor& inside = inside_[tile];
      counted = scores[i].masked_select(inside);
      // Outside, the lowest score inside keeps the interpolation from bringing in what is left out.
      picture.lowest_ = std::min(picture.lowest_, counted.min().item<double>());
      all[tile] = at::where(inside, scores[i], counted.min());
    }
    picture.image_score_ =
        std::max(picture.image_score_, nagl::image_score(counted, rules.top_share));
  }
  for (auto& tile : all) {  // outside the region of interest
    if (!tile.defined()) tile = at::full({grid_.size()}, picture.lowest_, at::kFloat);
  }
  const at::Tensor together =
      at::stack(all).reshape({static_cast<std::int64_t>(all.size()), grid_.rows, grid_.columns});
  picture.scores_ = together.size(0) == 1 ? together[0] : together;
  return picture;
}

at::Tensor PictureScores::patch_scores() const {
  const c10::InferenceMode guard;
  at::Tensor shown = shown_scores(scores_, range_);
  const auto& inside = tiles_->inside_;
  if (inside.empty()) return shown;
  return at::where(at::stack(inside).reshape(shown.sizes()), shown, at::zeros_like(shown));
}

at::Tensor PictureScores::counted_patch_scores() const {
  const c10::InferenceMode guard;
  const auto& inside = tiles_->inside_;
  if (inside.empty()) return scores_.flatten();
  return scores_.flatten().masked_select(at::cat(inside));
}

const cv::Mat& PictureScores::roi() const { return tiles_->roi_; }

cv::Mat PictureScores::raw_map() const {
  const c10::InferenceMode guard;
  AnomalyMapStitcher stitcher(tiles_->tiles_);
  const at::Tensor scores = scores_.dim() == 2 ? scores_.unsqueeze(0) : scores_;
  const auto& wanted = tiles_->wanted_;
  for (const auto tile : wanted) stitcher.add(tile, scores[static_cast<std::int64_t>(tile)]);
  for (std::size_t tile = 0; tile < tiles_->tiles_.count(); ++tile) {
    if (std::binary_search(wanted.begin(), wanted.end(), tile)) continue;
    stitcher.add(tile, scores[static_cast<std::int64_t>(tile)]);
  }
  cv::Mat map = stitcher.take();
  const cv::Mat& roi = tiles_->roi_;
  if (!roi.empty()) map.setTo(range_ == ScoreRange::kUnit ? 0 : lowest_, roi == 0);
  return map;
}

cv::Mat PictureScores::shown_map(cv::Mat map) const {
  const c10::InferenceMode guard;
  if (range_ == ScoreRange::kUnit) return map;
  at::Tensor values = at::from_blob(map.data, {map.rows, map.cols}, at::kFloat);
  values.copy_(shown_scores(values, range_));
  const cv::Mat& roi = tiles_->roi_;
  if (!roi.empty()) map.setTo(0, roi == 0);
  return map;
}

}  // namespace nagl
