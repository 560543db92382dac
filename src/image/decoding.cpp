#include "decoding.h"

#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <opencv2/core.hpp>
#include <opencv2/imgcodecs.hpp>
#include <opencv2/imgproc.hpp>
#include <optional>

#include "dicom.h"
#include "nagl/core/atomic_file.h"
#include "nagl/core/error.h"
#include "nagl/core/file_part.h"
#include "nagl/core/stderr_capture.h"
#include "nagl/core/text.h"
#include "nagl/image/volume.h"
#include "tiff.h"

namespace nagl {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kLargestFile = std::size_t{1} << 31;

std::string read_bytes(const fs::path& path) {
  std::string bytes = read_file(path, kLargestFile - 1);
  if (bytes.empty()) fail_picture(path, "is empty; replace or remove it");
  return bytes;
}

/// As EXIF counts the eight ways in which a picture may lie.
cv::Mat upright(const cv::Mat& stored, int orientation) {
  cv::Mat turned = orientation >= 5 ? cv::Mat(stored.t()) : stored.clone();
  switch (orientation) {
    case 2:
    case 6:
      cv::flip(turned, turned, 1);
      break;
    case 3:
    case 7:
      cv::flip(turned, turned, -1);
      break;
    case 4:
    case 8:
      cv::flip(turned, turned, 0);
      break;
    default:
      break;
  }
  return turned;
}

/// Grey, grey and alpha, BGR or BGRA as three channels.
cv::Mat as_bgr(const cv::Mat& samples) {
  cv::Mat bgr;
  if (samples.channels() == 2) {
    cv::extractChannel(samples, bgr, 0);
    cv::cvtColor(bgr, bgr, cv::COLOR_GRAY2BGR);
  } else if (samples.channels() == 1) {
    cv::cvtColor(samples, bgr, cv::COLOR_GRAY2BGR);
  } else if (samples.channels() == 4) {
    cv::cvtColor(samples, bgr, cv::COLOR_BGRA2BGR);
  } else {
    bgr = samples;
  }
  return bgr;
}

/// What OpenCV, or before it libtiff, makes of the bytes.
/// @param page of a TIFF, from 0
cv::Mat samples_of(const fs::path& path, const std::string& bytes, const Decoding& wanted, int page,
                   Decoded& decoded) {
  PictureHeader& header = decoded.header;
  if (header.format == PictureFormat::kTiff) {
    try {
      if (const auto tiff = decode_tiff(bytes, wanted.max_pixels, page)) {
        if (!tiff->dropped.empty()) {
          decoded.remarks.push_back(
              {"channels", fmt::format("'{}' {}", path.string(), tiff->dropped)});
        }
        const cv::Mat samples =
            wanted.as_stored ? tiff->samples : upright(tiff->samples, tiff->orientation);
        return wanted.with_alpha ? samples : as_bgr(samples);
      }
    } catch (const TiffFault& fault) {
      if (!wanted.with_alpha || page > 0) fail_picture(path, fault.what());
    }
  }
  if (page > 0) {
    fail_picture(path, "is a page of a kind that cannot be read; save it as a file of its own");
  }
  const cv::Mat buffer(1, static_cast<int>(bytes.size()), CV_8U, const_cast<char*>(bytes.data()));
  cv::Mat samples;
  if (wanted.with_alpha) {
    samples = cv::imdecode(buffer, cv::IMREAD_UNCHANGED);  // which is as stored
  } else {
    int flags = cv::IMREAD_COLOR | cv::IMREAD_ANYDEPTH;
    if (wanted.as_stored) flags |= cv::IMREAD_IGNORE_ORIENTATION;
    samples = cv::imdecode(buffer, flags);
    if (samples.empty() && !cv::imdecode(buffer, cv::IMREAD_UNCHANGED).empty()) {
      fail_picture(path, kWrongDepth);
    }
  }
  if (!samples.empty() && !wanted.as_stored) samples = upright(samples, header.orientation);
  return samples;
}

void check_size(const fs::path& path, std::int64_t width, std::int64_t height,
                std::int64_t max_pixels) {
  if (width < 1 || height < 1 || width <= max_pixels / height) return;
  fail_picture(
      path,
      fmt::format("is {}x{}, {:.0f} megapixels, more than the {:.0f} accepted; scale "
                  "it down or cut it, or raise the limit (--max-pixels)",
                  width, height, static_cast<double>(width) * static_cast<double>(height) / 1e6,
                  static_cast<double>(max_pixels) / 1e6));
}

/// The page of a TIFF or frame of a DICOM file that a path names, from 0.
std::int64_t page_of(const fs::path& path, const FilePart& named, const PictureHeader& header) {
  if (named.part.empty()) return 0;
  const auto page = whole_number(named.part);
  const bool paged =
      header.format == PictureFormat::kTiff || header.format == PictureFormat::kDicom;
  if (!paged || !page || *page < 0) {
    fail_picture(path,
                 "is no part of a picture: pages of a TIFF and frames of a DICOM file are named by "
                 "their number from 0, as in x.tif#1, slices of a volume as in x.nii.gz#axial:77");
  }
  return *page;
}

void check_page(const fs::path& path, const FilePart& named, std::int64_t page, int pages) {
  if (page < pages) return;
  fail_picture(path, fmt::format("is not there: '{}' has {}", named.file.string(),
                                 pages == 1 ? std::string("one alone, 0")
                                            : fmt::format("the pages 0 to {}", pages - 1)));
}

/// A frame of a DICOM file: as a mask what of a grey one is not 0.
void decode_frame(const fs::path& path, const FilePart& named, const std::string& bytes,
                  const Decoding& wanted, Decoded& decoded) {
  const std::int64_t frame = page_of(path, named, decoded.header);
  try {
    constexpr std::int64_t kMost = std::numeric_limits<int>::max();
    const DicomPicture picture = decode_dicom(
        named.file, bytes, static_cast<int>(std::min(frame, kMost)), wanted.max_pixels);
    decoded.header.pages = picture.frames;
    check_page(path, named, frame, picture.frames);
    if (!wanted.with_alpha) {
      decoded.samples = as_bgr(picture.samples);
    } else {
      decoded.samples = picture.values.empty() ? picture.samples : cv::Mat(picture.values != 0);
    }
  } catch (const DicomFault& fault) {
    fail_picture(path, fault.what());
  }
}

/// A slice of a volume: grey, or as a mask what is not 0.
Decoded decode_slice(const fs::path& path, const FilePart& named, const Decoding& wanted) {
  const auto slice = SliceName::parse(named.part);
  if (!slice) {
    fail_picture(path, fmt::format("is a volume, not a picture: name a slice, as in '{}#axial:77'",
                                   named.file.filename().string()));
  }
  const auto volume = read_volume(named.file);
  if (slice->index >= volume->slices(slice->axis)) {
    fail_picture(path,
                 fmt::format("is not there: '{}' has the {} slices 0 to {}", named.file.string(),
                             to_string(slice->axis), volume->slices(slice->axis) - 1));
  }
  const cv::Size size = volume->slice_size(slice->axis);
  check_size(path, size.width, size.height, wanted.max_pixels);
  Decoded decoded;
  decoded.header.width = size.width;
  decoded.header.height = size.height;
  decoded.samples = wanted.with_alpha ? cv::Mat(volume->slice(slice->axis, slice->index) != 0)
                                      : as_bgr(volume->grey_slice(slice->axis, slice->index));
  return decoded;
}

/// A picture, or a part of its file.
/// @param path for messages @param named the file and the part; none: there are the bytes alone
/// @param bytes what is in the file
Decoded decode_part(const fs::path& path, const FilePart& named, const std::string& bytes,
                    const Decoding& wanted) {
  const StderrCapture printed;
  Decoded decoded;
  decoded.header = read_header(bytes);
  const PictureHeader& header = decoded.header;
  if (header.format == PictureFormat::kJpeg &&
      !jpeg_is_complete(reinterpret_cast<const unsigned char*>(bytes.data()), bytes.size())) {
    fail_picture(path, "is a truncated JPEG; replace or remove it");
  }
  check_size(path, header.width, header.height, wanted.max_pixels);
  if (header.format == PictureFormat::kDicom) {
    decode_frame(path, named, bytes, wanted, decoded);
  } else {
    const std::int64_t page = page_of(path, named, header);
    check_page(path, named, page, header.pages);
    decoded.samples = samples_of(path, bytes, wanted, static_cast<int>(page), decoded);
  }
  if (decoded.samples.empty() && header.pages > 1) {
    fail_picture(path, fmt::format("holds {} frames or pages that cannot be decoded; save the one "
                                   "that counts as PNG",
                                   header.pages));
  }
  if (decoded.samples.empty()) {
    fail_picture(path,
                 "is not a picture that can be decoded, or it is damaged; replace or remove it" +
                     (printed.text().empty() ? "" : " (" + printed.text() + ")"));
  }
  check_size(path, decoded.samples.cols, decoded.samples.rows, wanted.max_pixels);
  if (header.pages > 1 && named.part.empty()) {
    decoded.remarks.push_back(
        {"pages",
         fmt::format("'{}' holds {} pictures, of which the first is read; {}", path.string(),
                     header.pages,
                     header.format == PictureFormat::kTiff || header.format == PictureFormat::kDicom
                         ? fmt::format("name another by its number from 0, as in '{}#1', or all of "
                                       "them as '{}#all'",
                                       path.filename().string(), path.filename().string())
                         : std::string("save the others as files of their own"))});
  }
  // libpng warns of colour profiles and the like, which change no value.
  if (!printed.text().empty() && !printed.text().starts_with("libpng warning")) {
    decoded.remarks.push_back(
        {"decoder", fmt::format("'{}' may be damaged: {}", path.string(), printed.text())});
  }
  return decoded;
}

}  // namespace

void fail_picture(const fs::path& path, const std::string& why) {
  throw DataError("'" + path.string() + "' " + why);
}

std::string size_text(const cv::Size& size) {
  return fmt::format("{}x{}", size.width, size.height);
}

Decoded decode_file(const fs::path& path, const Decoding& wanted) {
  const FilePart named = file_part_of(path);
  if (is_volume(named.file)) return decode_slice(path, named, wanted);
  return decode_part(path, named, read_bytes(named.file), wanted);
}

Decoded decode_bytes(const fs::path& name, const std::string& bytes, const Decoding& wanted) {
  return decode_part(name, {}, bytes, wanted);
}

}  // namespace nagl
