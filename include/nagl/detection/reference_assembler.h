#pragma once

#include <cstdint>
#include <functional>
#include <opencv2/core/mat.hpp>
#include <vector>

#include "nagl/core/torch.h"
#include "nagl/detection/bank_options.h"
#include "nagl/encoding/picture_encoder.h"
#include "nagl/image/alteration.h"
#include "nagl/model/reference_features.h"

namespace nagl {

/// One of the views in which a good reference is enrolled.
struct ReferenceView {
  std::int64_t turn = 0;  ///< of `BankOptions::turns`; 0: as it is
  std::size_t tile = 0;
};

/// How far a turn is.
/// @param turn, turns as in ReferenceView
Alteration turn_of(std::int64_t turn, std::int64_t turns);

/// Calls `use` with each view of a good reference, angle by angle and tile by tile.
/// @param use takes a view and its part of the picture, uint8 [H, W, 3]
void for_each_view(const PictureEncoder& encoder, const cv::Mat& rgb, std::int64_t turns,
                   const std::function<void(const ReferenceView&, const cv::Mat& rgb)>& use);

/// A tile of a picture of a defect.
struct DefectView {
  std::size_t tile = 0;
  cv::Rect area;
  at::Tensor patch_mask;  ///< [N] bool, the patches that show the defect
  at::Tensor clear;       ///< [N] bool, those well outside the whole picture's mask
};

/// Whether somebody says where a defect is.
enum class MaskOrigin {
  kDrawn,    ///< a mask that came with the picture
  kDerived,  ///< one that `derive_mask` made, which may lie elsewhere than the defect
};

/// The tiles of a picture that a bank needs: those that its mask marks and, where a method uses
/// surroundings, the others. None where the mask marks nothing.
/// @param mask uint8 [H, W] of the picture's proportions, above 0 on the defect
std::vector<DefectView> defect_views(const PictureEncoder& encoder, const cv::Mat& rgb,
                                     const cv::Mat& mask, bool with_surroundings);

/// Which patches of references count: those in which a region of interest has any pixel.
class CountedPatches {
 public:
  /// @param roi uint8 [H, W], above 0 inside, as pictures lie; empty: all patches count
  /// @param turns angles at which normal pictures are there
  /// @throws DataError if no patch counts
  CountedPatches(const PictureEncoder& encoder, const cv::Mat& roi, std::int64_t turns);

  /// [N] bool of a view at some turn; undefined: all count.
  at::Tensor inside(std::int64_t turn) const;
  /// The rows that count. @param features [N, C] of a view
  at::Tensor rows(const at::Tensor& features, std::int64_t turn) const;
  /// Takes the others out of what views of a defect show; where nothing is left there is no view.
  void restrict(std::vector<DefectView>& views) const;

 private:
  std::vector<at::Tensor> inside_;  ///< by turn; empty: all
};

/// Puts features of reference pictures together, view by view, as a bank keeps them. With `coreset`
/// below 1 each good view adds that share of its patches, those least like what is there already,
/// so memory never holds more than that.
class ReferenceAssembler {
 public:
  /// @param options how the bank is made; only its method, turns and coreset count
  /// @param width channels C of the features
  /// @param counted as in ReferenceFeatures
  ReferenceAssembler(const BankOptions& options, std::int64_t width, at::Device device,
                     const at::Tensor& counted = {});
  /// Goes on from what another one gave.
  ReferenceAssembler(const BankOptions& options, const ReferenceFeatures& features,
                     at::Device device);

  /// The next good picture; its views may come later. @return its index
  std::int64_t begin_normal();
  /// @param features [N, C] of a view, its patches that count @param turned whether it is of a
  /// turned copy
  /// @param kept [N] bool, the patches that the bank is to have rows of; undefined: all, or those
  ///        that are chosen. The bank is thinned then: no view of an earlier picture may be missing
  void add_normal(std::int64_t picture, const at::Tensor& features, bool turned,
                  const at::Tensor& kept = {});
  /// The next picture of a defect, which has so many views.
  void begin_abnormal(std::int64_t views);
  /// @param features [N, C] of a view @param patch_mask, clear [N] bool, as in DefectView
  void add_abnormal(const at::Tensor& features, const at::Tensor& patch_mask,
                    const at::Tensor& clear, MaskOrigin origin);

  /// What the rows take, in bytes.
  std::int64_t row_bytes() const;
  /// Forgets rows until they take at most so many bytes (see `thin_rows`). No view of any picture
  /// may be missing. @throws ConfigError if patches of defects alone take more
  void keep_within(std::int64_t bytes);

  /// What there is so far, sharing the assembler's memory: for use before the next view comes.
  ReferenceFeatures features() const;
  /// The same; the assembler is empty then.
  ReferenceFeatures take();

 private:
  /// Rows that grow, with room to spare.
  class Rows {
   public:
    void append(const at::Tensor& rows);
    at::Tensor all() const { return rows_.defined() ? rows_.slice(0, 0, size_) : rows_; }
    std::int64_t size() const { return size_; }
    bool defined() const { return rows_.defined(); }

   private:
    at::Tensor rows_;
    std::int64_t size_ = 0;
  };

  void go_on_from(const ReferenceFeatures& there);
  void begin_thinning();
  ReferenceFeatures with_moments(ReferenceFeatures features) const;

  double coreset_;
  bool thinned_;  ///< moments are kept, since the rows do not tell
  std::int64_t merged_ = 0;
  std::int64_t turns_;
  at::Tensor counted_;
  bool with_surroundings_;
  Rows normal_, abnormal_, surroundings_;
  Rows normal_novelty_, surroundings_novelty_;              ///< undefined until rows were forgotten
  std::vector<FeatureMoments> moments_, abnormal_moments_;  ///< filled in where it is thinned
  std::vector<at::Tensor> patch_masks_, clear_, drawn_;
  std::vector<std::int64_t> normal_rows_, abnormal_views_;
};

/// Normal rows that a bank of pictures of one size will hold for each, before any is encoded.
std::int64_t expected_rows(cv::Size picture, const PictureEncoder& encoder, std::int64_t turns,
                           double coreset);

}  // namespace nagl
