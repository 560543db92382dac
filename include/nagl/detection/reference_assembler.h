#pragma once

#include <cstdint>
#include <functional>
#include <opencv2/core/mat.hpp>
#include <vector>

#include "nagl/core/torch.h"
#include "nagl/encoding/picture_encoder.h"
#include "nagl/model/reference_bank.h"

namespace nagl {

/// One of the views in which a good reference is enrolled.
struct ReferenceView {
  std::int64_t turn = 0;  ///< of `BankOptions::turns`; 0: as it is
  std::size_t tile = 0;
};

/// Calls `use` with each view of a good reference, angle by angle and tile by tile.
/// @param use takes a view and its part of the picture, uint8 [H, W, 3]
void for_each_view(const PictureEncoder& encoder, const cv::Mat& rgb, std::int64_t turns,
                   const std::function<void(const ReferenceView&, const cv::Mat& rgb)>& use);

/// A tile of a picture of a defect that shows some of it.
struct MarkedTile {
  std::size_t tile = 0;
  cv::Rect area;
  at::Tensor patch_mask;  ///< [N] bool, at least one set
};

/// The tiles of a picture that its mask marks, maybe none.
/// @param mask uint8 [H, W] of the picture's proportions, above 0 on the defect
std::vector<MarkedTile> marked_tiles(const PictureEncoder& encoder, const cv::Mat& rgb,
                                     const cv::Mat& mask);

/// Puts features of reference pictures together, view by view, as a bank keeps them. With `coreset`
/// below 1 each good view adds that share of its patches, those least like what is there already,
/// so memory never holds more than that.
class ReferenceAssembler {
 public:
  /// @param width channels C of the features
  ReferenceAssembler(double coreset, std::int64_t width, at::Device device);
  /// Goes on from what another one gave.
  ReferenceAssembler(double coreset, const ReferenceFeatures& features, at::Device device);

  /// The next good picture; its views may come later. @return its index
  std::int64_t begin_normal();
  /// @param features [N, C] of a view
  void add_normal(std::int64_t picture, const at::Tensor& features);
  /// The next picture of a defect, which has so many marked views.
  void begin_abnormal(std::int64_t views);
  /// @param features [N, C] of a view @param patch_mask [N] bool
  void add_abnormal(const at::Tensor& features, const at::Tensor& patch_mask);

  /// What there is so far, sharing the assembler's memory: for use before the next view comes.
  ReferenceFeatures features() const;
  /// The same; the assembler is empty then.
  ReferenceFeatures take();

 private:
  /// Rows that grow, with room to spare.
  class Rows {
   public:
    void append(const at::Tensor& rows);
    at::Tensor all() const { return rows_.slice(0, 0, size_); }
    std::int64_t size() const { return size_; }

   private:
    at::Tensor rows_;
    std::int64_t size_ = 0;
  };

  double coreset_;
  Rows normal_, abnormal_;
  std::vector<at::Tensor> patch_masks_;
  std::vector<std::int64_t> normal_rows_, abnormal_views_;
};

/// Normal rows that a bank of pictures of one size will hold for each, before any is encoded.
std::int64_t expected_rows(cv::Size picture, const PictureEncoder& encoder, std::int64_t turns,
                           double coreset);

}  // namespace nagl
