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

/// What one method makes of one picture.
class PictureScores {
 public:
  double image_score = 0;   ///< mean of the top 1 % of patch scores; of tiles, the largest
  at::Tensor patch_scores;  ///< [h, w] float32 on the CPU, [tiles, h, w] of a picture with several;
                            ///< 0 outside the region of interest

  /// Makes the map: float32 [H, W] of the picture's size; 0 outside the region of interest. It is
  /// not kept, since maps are large.
  cv::Mat map() const;

 private:
  friend class QueryTiles;

  std::shared_ptr<const class QueryTiles> tiles_;
  at::Tensor shown_;  ///< as `patch_scores`, outside the lowest score inside
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
  PictureScores scores(const std::vector<at::Tensor>& scores) const;

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
