#pragma once

#include <cstdint>
#include <string_view>

namespace nagl {

enum class PictureFormat { kOther, kPng, kJpeg, kWebp, kTiff, kBmp, kPnm, kJpeg2000, kDicom };

/// What the first bytes of a picture's file say, as far as decoding needs it. Fields that a format
/// does not have, or that cannot be found, keep their defaults.
struct PictureHeader {
  PictureFormat format = PictureFormat::kOther;
  std::int64_t width = 0, height = 0;  ///< as stored; 0: not known
  bool lossy = false;                  ///< whether compression changes values
  bool palette = false;                ///< whether values are indices into a list of colours
  int pages = 1;                       ///< full pictures in the file: pages, frames
  int orientation = 1;                 ///< as EXIF counts, of WebP alone: OpenCV knows the others
  int largest_value = 0;               ///< of PNM, what white is; else 0
};

/// Reads it. Never fails: damage is found where the file is decoded.
PictureHeader read_header(std::string_view bytes);

}  // namespace nagl
