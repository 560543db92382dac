#pragma once

#include <filesystem>
#include <opencv2/core/mat.hpp>
#include <vector>

namespace nagl {

/// A decoded picture.
struct Image {
  cv::Mat rgb;                 ///< uint8 [H, W, 3], RGB, upright
  std::filesystem::path path;  ///< where it came from; empty for a picture made in memory
  bool looks_12_bit = false;   ///< read as 16 bit, but no value reaches 4096: see `bit_depth`
};

/// A picture of a defect and the masks that say where it is, by path. Mostly there is one; what any
/// of several marks is marked.
struct MaskedPicture {
  std::filesystem::path picture;
  std::vector<std::filesystem::path> masks;
};

/// How `read_image` turns samples into bytes.
struct DecodeOptions {
  /// Bits a sample of 16-bit files really holds, 9..16: value v becomes round(255 v / (2^bits -
  /// 1)).
  int bit_depth = 16;

  /// Throws ConfigError on a value out of range.
  void check() const;
  bool operator==(const DecodeOptions&) const = default;

  template <typename Self, typename Visit>
  static void fields(Self& self, Visit&& visit) {
    visit("bit_depth", self.bit_depth);
  }
};

/// Reads a picture: any format OpenCV decodes, 8 or 16 bit, grey, RGB or RGBA (alpha is dropped),
/// turned upright as its EXIF orientation says (JPEG, PNG, TIFF; OpenCV does not read WebP's).
/// @throws DataError naming the file if it is missing, empty, truncated or not a picture.
Image read_image(const std::filesystem::path& path, const DecodeOptions& options = {});

/// Reads a mask as it is stored (no EXIF turn): uint8 [H, W], 255 where any channel is above 0.
/// @throws DataError as `read_image`.
cv::Mat read_mask(const std::filesystem::path& path);

/// Reads the mask that belongs to `image`: `read_mask`, or `read_annotation` of a JSON file, then
/// turned as the picture was if, and only if, its size says that it was drawn on the picture as
/// stored (JPEG and PNG; OpenCV never gives a TIFF as stored). Its size may differ from the
/// picture's by a common factor.
/// @throws DataError naming both files if the proportions differ.
cv::Mat read_mask_for(const Image& image, const std::filesystem::path& mask_path);

/// What any of several masks of `image` marks, in the size of the first.
cv::Mat read_masks_for(const Image& image, const std::vector<std::filesystem::path>& masks);

/// Whether JPEG data is whole: its segments lead to an end-of-image marker. (OpenCV decodes half a
/// file without complaint.) Damage between intact markers is not found.
bool jpeg_is_complete(const unsigned char* data, std::size_t size);

/// Writes uint8 [H, W, 3] RGB, or uint8 or uint16 [H, W], as PNG, atomically.
/// @throws DataError naming the file.
void write_png(const std::filesystem::path& path, const cv::Mat& picture);

/// Writes uint8 [H, W, 3] RGB as JPEG, atomically. @throws DataError naming the file.
void write_jpeg(const std::filesystem::path& path, const cv::Mat& picture);

}  // namespace nagl
