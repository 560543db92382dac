#pragma once

#include <cstdint>
#include <filesystem>
#include <opencv2/core/mat.hpp>
#include <string>
#include <vector>

namespace nagl {

/// Something about a file that a person should know, though it can be read.
struct Remark {
  std::string kind;  ///< remarks of one kind say the same of different files
  std::string text;  ///< a line that names the file

  bool operator==(const Remark&) const = default;
};

/// A line for each kind of remark: the first, and how many others there are. The same remark counts
/// once.
std::vector<std::string> summarize(const std::vector<Remark>& remarks);

/// A decoded picture.
struct Image {
  cv::Mat rgb;                  ///< uint8 [H, W, 3], RGB, upright
  std::filesystem::path path;   ///< where it came from; empty for a picture made in memory
  std::vector<Remark> remarks;  ///< what of the file is not in it, or looks wrong
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
  /// 1)). PNM files say it themselves.
  int bit_depth = 16;
  /// Larger pictures are refused, where the file's header tells before anything is decoded. What is
  /// read does not depend on it, so it is no part of what an encoding is known by.
  std::int64_t max_pixels = 200'000'000;

  /// Throws ConfigError on a value out of range.
  void check() const;
  bool operator==(const DecodeOptions&) const = default;

  template <typename Self, typename Visit>
  static void fields(Self& self, Visit&& visit) {
    visit("bit_depth", self.bit_depth);
  }
};

/// Reads a picture: any format OpenCV decodes, 8 or 16 bit, grey, RGB or RGBA (alpha is dropped),
/// turned upright as its EXIF orientation says (JPEG, PNG, TIFF, WebP). Of several pages the first.
/// @throws DataError naming the file if it is missing, empty, truncated, too large or not a
/// picture.
Image read_image(const std::filesystem::path& path, const DecodeOptions& options = {});

/// Whether JPEG data is whole: its segments lead to an end-of-image marker. (OpenCV decodes half a
/// file without complaint.) Damage between intact markers is not found.
bool jpeg_is_complete(const unsigned char* data, std::size_t size);

/// Writes uint8 [H, W, 3] RGB, or uint8 or uint16 [H, W], as PNG, atomically.
/// @throws DataError naming the file.
void write_png(const std::filesystem::path& path, const cv::Mat& picture);

/// Writes float32 [H, W] as TIFF of one channel of 16-bit floating-point samples, atomically.
/// @throws DataError naming the file, also where nagl was built without libtiff
void write_float16_tiff(const std::filesystem::path& path, const cv::Mat& map);

/// Writes uint8 [H, W, 3] RGB as JPEG, atomically. @throws DataError naming the file.
void write_jpeg(const std::filesystem::path& path, const cv::Mat& picture);

}  // namespace nagl
