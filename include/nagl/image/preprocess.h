#pragma once

#include <opencv2/core/mat.hpp>
#include <string>

#include "nagl/core/enum_names.h"
#include "nagl/core/image_size.h"
#include "nagl/core/torch.h"

namespace nagl {

/// Changes whenever `preprocess` would give other values for the same picture.
inline constexpr int kPreprocessVersion = 1;

/// Throws DataError unless a picture is uint8 [H, W, 3] and not empty.
void check_picture(const cv::Mat& rgb);

/// Resizes to `size`, bicubic with antialiasing as Pillow does.
/// @param rgb uint8 [H, W, 3]
/// @return [3, size.height, size.width] uint8 on the CPU.
/// @throws DataError as `check_picture`
at::Tensor resize_like_pillow(const cv::Mat& rgb, ImageSize size);

/// The same on any device, in floats: along the width, clamped to 0..255 and rounded, then along
/// the height. Off by 1, rarely 2, here and there.
/// @param pixels [3, H, W] uint8 @return [3, size.height, size.width] float32 on their device
at::Tensor resize_in_floats(const at::Tensor& pixels, ImageSize size);

/// What the backbone takes (docs/design.md, 3.2): resized, scaled to [0, 1], ImageNet mean and
/// deviation.
/// @param rgb uint8 [H, W, 3]
/// @param device where that is done
/// @return [3, size.height, size.width] float32 there.
/// @throws DataError as `check_picture`
at::Tensor preprocess(const cv::Mat& rgb, ImageSize size, at::Device device = at::kCPU);

/// Where the window of a patch lies over the mask.
enum class MaskAlignment {
  kAligned,    ///< over the patch itself
  kPublished,  ///< one pixel up and left, zero outside, as the published code has it
};
constexpr auto names_of(MaskAlignment) {
  return EnumNames<MaskAlignment, 2>{
      "mask alignment",
      {{{MaskAlignment::kAligned, "aligned"}, {MaskAlignment::kPublished, "published"}}}};
}

/// Resizes a mask to the network's size by nearest neighbour: pixel i shows floor(i x scale), as
/// the published code has it.
/// @param mask uint8 [H, W] @throws DataError if it is anything else
/// @return [size.height, size.width] uint8, 0 or 1.
at::Tensor resize_mask(const cv::Mat& mask, ImageSize size);

/// Which patches of a view a mask marks: those in which the centre of any of its marked pixels
/// lies, and of a mask with fewer pixels than patches those whose own centre lies in one. So
/// nothing is too thin to be seen, however far the view is scaled down.
/// @param mask uint8 [H, W] of the view's proportions
/// @return [rows * columns] bool, row by row
/// @throws DataError if it is anything else
at::Tensor marked_patches(const cv::Mat& mask, std::int64_t rows, std::int64_t columns);

/// The patch mask of docs/design.md, 3.4: a patch is set when any pixel of its window is above 0.
/// @param network_mask [height, width] as `resize_mask` gives it; sides are multiples of `patch`
/// @return [height/patch * width/patch] bool, row by row.
at::Tensor mask_to_patches(const at::Tensor& network_mask, std::int64_t patch,
                           MaskAlignment alignment = MaskAlignment::kAligned);

}  // namespace nagl
