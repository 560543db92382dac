#pragma once

#include <cstdint>
#include <memory>
#include <opencv2/core/mat.hpp>
#include <utility>
#include <vector>

#include "nagl/core/torch.h"
#include "nagl/encoding/picture_encoder.h"
#include "nagl/image/image.h"
#include "nagl/image/tiling.h"
#include "nagl/nn/score_range.h"

namespace nagl {

/// A picture to look at, and optionally where to look.
struct Query {
  Query() = default;
  Query(Image picture, cv::Mat where = {}) : image(std::move(picture)), roi(std::move(where)) {}

  Image image;
  cv::Mat roi;  ///< uint8 [H, W] of the picture's proportions, above 0 where to look; empty: all
};

/// The patches of a view in which a region of interest has any pixel, however thin; maybe none.
/// @param roi uint8 [H, W], above 0 inside @return [N] bool
at::Tensor patches_inside(const PictureEncoder& encoder, const cv::Mat& roi);

/// Throws DataError naming the picture unless a region of interest can be laid over it.
void check_roi(const Image& image, const cv::Mat& roi);

/// Where two regions of interest meet, of the larger one's size, so that thin lines of either are
/// kept. @param a, b uint8 [H, W], above 0 inside; empty: everywhere
cv::Mat common_roi(const cv::Mat& a, const cv::Mat& b);

/// The query, with a bank's region of interest: its own within that one.
/// @param roi uint8 [H, W], above 0 inside; empty: everywhere
/// @throws DataError as `check_roi`
Query within(const Query& query, const cv::Mat& roi);

/// How one method's patch scores become a picture's.
struct ScoreRules {
  ScoreRange range = ScoreRange::kUnit;
  double top_share = 0.01;  ///< of the patches, whose mean is the image score
};

/// What one method makes of one picture: raw scores, by which everything is compared, and the same
/// as users see them, in [0, 1].
class PictureScores {
 public:
  /// The mean of the top share of patch scores; of tiles, the largest.
  double raw_image_score() const { return image_score_; }
  double image_score() const { return shown_score(image_score_, range_); }

  /// [h, w] float32 on the CPU, [tiles, h, w] of a picture with several; outside the region of
  /// interest the lowest score inside, in `patch_scores` 0.
  const at::Tensor& raw_patch_scores() const { return scores_; }
  at::Tensor patch_scores() const;
  /// Those inside the region of interest, [M] float32 on the CPU, M >= 1.
  at::Tensor counted_patch_scores() const;

  /// Makes the map: float32 [H, W] of the picture's size. Outside the region of interest `map` is
  /// 0, and `raw_map` too unless scores have no bounds: then the lowest inside. It is not kept,
  /// since maps are large.
  cv::Mat raw_map() const;
  cv::Mat map() const { return shown_map(raw_map()); }
  /// `map`, of what `raw_map` gave, which it may change.
  cv::Mat shown_map(cv::Mat raw) const;

  ScoreRange range() const { return range_; }
  /// The region of interest, uint8 [H, W] of the picture's size; empty: everywhere.
  const cv::Mat& roi() const;

 private:
  friend class QueryTiles;

  std::shared_ptr<const class QueryTiles> tiles_;
  ScoreRange range_ = ScoreRange::kUnit;
  double image_score_ = 0;
  at::Tensor scores_;
  double lowest_ = 0;
};

/// The tiles of a query that are looked at, and how their scores become those of the picture.
class QueryTiles : public std::enable_shared_from_this<QueryTiles> {
 public:
  /// @throws DataError naming the picture if it is none, or its region of interest leaves nothing
  QueryTiles(const PictureEncoder& encoder, const Query& query);

  /// Indices of the tiles to score; one, without tiling.
  const std::vector<std::size_t>& wanted() const { return wanted_; }
  cv::Rect area(std::size_t tile) const { return tiles_.at(tile); }
  cv::Size picture_size() const { return size_; }

  /// @param scores [N] float32 on the CPU of each wanted tile
  PictureScores scores(const std::vector<at::Tensor>& scores, const ScoreRules& rules) const;

 private:
  friend class PictureScores;

  PatchGrid grid_;
  cv::Size size_;
  TileGrid tiles_;
  cv::Mat roi_;                     ///< of the picture's size; empty: everywhere
  std::vector<at::Tensor> inside_;  ///< the patches inside it, by tile
  std::vector<std::size_t> wanted_;
};

}  // namespace nagl
