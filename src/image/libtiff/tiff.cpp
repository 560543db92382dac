#include "../tiff.h"

#define TIFF_DISABLE_DEPRECATED  // its names for integers are OpenCV's, too
#include <tiffio.h>

#include <algorithm>
#include <cstdarg>
#include <cstdio>
#include <cstring>
#include <memory>
#include <opencv2/core.hpp>
#include <vector>

namespace nagl {
namespace {

/// A file that is written, in memory.
struct Target {
  std::string bytes;
  std::uint64_t at = 0;
};

tmsize_t write_target(thandle_t handle, void* data, tmsize_t size) {
  auto& target = *static_cast<Target*>(handle);
  const std::uint64_t end = target.at + static_cast<std::uint64_t>(size);
  if (target.bytes.size() < end) target.bytes.resize(end);
  std::memcpy(target.bytes.data() + target.at, data, static_cast<std::size_t>(size));
  target.at = end;
  return size;
}
/// The file, in memory, and what libtiff had to say of it.
struct Source {
  std::string_view bytes;
  std::uint64_t at = 0;
  std::string error;
};

/// @tparam Memory Source or Target
template <typename Memory>
tmsize_t read_memory(thandle_t handle, void* data, tmsize_t size) {
  auto& memory = *static_cast<Memory*>(handle);
  const std::uint64_t left =
      memory.bytes.size() - std::min<std::uint64_t>(memory.at, memory.bytes.size());
  const auto count = std::min<std::uint64_t>(static_cast<std::uint64_t>(size), left);
  std::memcpy(data, memory.bytes.data() + memory.at, count);
  memory.at += count;
  return static_cast<tmsize_t>(count);
}
tmsize_t write_source(thandle_t, void*, tmsize_t) { return 0; }
template <typename Memory>
toff_t seek_memory(thandle_t handle, toff_t offset, int from) {
  auto& memory = *static_cast<Memory*>(handle);
  const std::uint64_t base = from == SEEK_SET   ? 0
                             : from == SEEK_CUR ? memory.at
                                                : memory.bytes.size();
  return memory.at = base + offset;
}
int close_memory(thandle_t) { return 0; }
template <typename Memory>
toff_t size_of_memory(thandle_t handle) {
  return static_cast<Memory*>(handle)->bytes.size();
}

int keep_error(TIFF*, void* source, const char*, const char* format, va_list arguments) {
  char line[200];
  std::vsnprintf(line, sizeof line, format, arguments);
  static_cast<Source*>(source)->error = line;
  return 1;
}
int ignore(TIFF*, void*, const char*, const char*, va_list) { return 1; }

using File = std::unique_ptr<TIFF, decltype(&TIFFClose)>;

File open_source(Source& source) {
  TIFFOpenOptions* options = TIFFOpenOptionsAlloc();
  TIFFOpenOptionsSetErrorHandlerExtR(options, keep_error, &source);
  TIFFOpenOptionsSetWarningHandlerExtR(options, ignore, nullptr);
  File file(TIFFClientOpenExt("memory", "rm", &source, read_memory<Source>, write_source,
                              seek_memory<Source>, close_memory, size_of_memory<Source>, nullptr,
                              nullptr, options),
            &TIFFClose);
  TIFFOpenOptionsFree(options);
  return file;
}

template <typename T>
T field(TIFF* file, std::uint32_t tag) {
  T value = 0;
  TIFFGetFieldDefaulted(file, tag, &value);
  return value;
}

const char* name_of_format(std::uint16_t format) {
  switch (format) {
    case SAMPLEFORMAT_IEEEFP:
      return "floating-point";
    case SAMPLEFORMAT_INT:
      return "signed";
    default:
      return "complex or unknown";
  }
}

/// Rows of samples as they are stored, all planes side by side.
class Samples {
 public:
  Samples(TIFF* file, int rows, int columns, int bits, int channels)
      : file_(file),
        bytes_(bits / 8),
        mat_(rows, columns, CV_MAKETYPE(bits == 8 ? CV_8U : CV_16U, channels)) {
    const bool separate = field<std::uint16_t>(file, TIFFTAG_PLANARCONFIG) == PLANARCONFIG_SEPARATE;
    planes_ = separate ? channels : 1;
    in_a_plane_ = separate ? 1 : channels;
    if (TIFFIsTiled(file)) {
      read_tiles();
    } else {
      read_strips();
    }
  }
  cv::Mat take() { return mat_; }

 private:
  /// Puts a row of one plane in place.
  void put(int plane, int row, int column, int count, const unsigned char* from) {
    const std::size_t pixel = mat_.elemSize();
    unsigned char* to = mat_.ptr(row, column) + plane * bytes_;
    const auto size = static_cast<std::size_t>(in_a_plane_ * bytes_);
    for (int i = 0; i < count; ++i)
      std::memcpy(to + static_cast<std::size_t>(i) * pixel,
                  from + static_cast<std::size_t>(i) * size, size);
  }

  void read_strips() {
    const std::uint32_t rows_each = std::min<std::uint32_t>(
        std::max<std::uint32_t>(field<std::uint32_t>(file_, TIFFTAG_ROWSPERSTRIP), 1),
        static_cast<std::uint32_t>(mat_.rows));
    const std::size_t row_bytes =
        static_cast<std::size_t>(mat_.cols) * static_cast<std::size_t>(in_a_plane_ * bytes_);
    std::vector<unsigned char> strip(row_bytes * rows_each);
    for (int plane = 0; plane < planes_; ++plane) {
      for (int row = 0; row < mat_.rows; row += static_cast<int>(rows_each)) {
        const int count = std::min(static_cast<int>(rows_each), mat_.rows - row);
        const auto wanted = static_cast<tmsize_t>(row_bytes * static_cast<std::size_t>(count));
        const auto index = TIFFComputeStrip(file_, static_cast<std::uint32_t>(row),
                                            static_cast<std::uint16_t>(plane));
        check(TIFFReadEncodedStrip(file_, index, strip.data(), wanted) == wanted);
        for (int i = 0; i < count; ++i) {
          put(plane, row + i, 0, mat_.cols, strip.data() + row_bytes * static_cast<std::size_t>(i));
        }
      }
    }
  }

  void read_tiles() {
    const auto width = static_cast<int>(field<std::uint32_t>(file_, TIFFTAG_TILEWIDTH));
    const auto height = static_cast<int>(field<std::uint32_t>(file_, TIFFTAG_TILELENGTH));
    constexpr int kLargestTile = 1 << 14;
    check(width > 0 && height > 0 && width <= kLargestTile && height <= kLargestTile);
    const tmsize_t size = TIFFTileSize(file_);
    const std::size_t row_bytes =
        static_cast<std::size_t>(width) * static_cast<std::size_t>(in_a_plane_ * bytes_);
    check(size == static_cast<tmsize_t>(row_bytes * static_cast<std::size_t>(height)));
    std::vector<unsigned char> tile(static_cast<std::size_t>(size));
    for (int plane = 0; plane < planes_; ++plane) {
      for (int row = 0; row < mat_.rows; row += height) {
        for (int column = 0; column < mat_.cols; column += width) {
          const auto index = TIFFComputeTile(file_, static_cast<std::uint32_t>(column),
                                             static_cast<std::uint32_t>(row), 0,
                                             static_cast<std::uint16_t>(plane));
          check(TIFFReadEncodedTile(file_, index, tile.data(), size) == size);
          for (int i = 0; i < std::min(height, mat_.rows - row); ++i) {
            put(plane, row + i, column, std::min(width, mat_.cols - column),
                tile.data() + row_bytes * static_cast<std::size_t>(i));
          }
        }
      }
    }
  }

  void check(bool whole) const {
    if (!whole) throw TiffFault("is a TIFF whose picture is damaged or truncated");
  }

  TIFF* file_;
  int bytes_, planes_ = 1, in_a_plane_ = 1;
  cv::Mat mat_;
};

/// Colours that were multiplied by their alpha, as they were before; where it is 0, they are gone.
template <typename T>
void divide_by_alpha(cv::Mat& samples, double most) {
  const int colours = samples.channels() - 1;
  for (int y = 0; y < samples.rows; ++y) {
    T* row = samples.ptr<T>(y);
    for (int x = 0; x < samples.cols; ++x, row += colours + 1) {
      const double alpha = row[colours];
      if (alpha == 0 || alpha == most) continue;
      for (int c = 0; c < colours; ++c) row[c] = cv::saturate_cast<T>(row[c] * most / alpha);
    }
  }
}

}  // namespace

std::optional<TiffPicture> decode_tiff(std::string_view bytes, std::int64_t max_pixels, int page) {
  Source source{bytes, 0, {}};
  const File file = open_source(source);
  if (!file) return std::nullopt;
  TIFF* tiff = file.get();
  for (int left = page; left > 0;) {
    if (TIFFReadDirectory(tiff) != 1) throw TiffFault("has no page of that number; it is damaged");
    // Of the first page `read_header` does not look at its kind either.
    constexpr std::uint32_t kOther = FILETYPE_REDUCEDIMAGE | FILETYPE_MASK;
    left -= (field<std::uint32_t>(tiff, TIFFTAG_SUBFILETYPE) & kOther) == 0 ? 1 : 0;
  }
  const auto width = field<std::uint32_t>(tiff, TIFFTAG_IMAGEWIDTH);
  const auto height = field<std::uint32_t>(tiff, TIFFTAG_IMAGELENGTH);
  const auto bits = field<std::uint16_t>(tiff, TIFFTAG_BITSPERSAMPLE);
  const auto channels = field<std::uint16_t>(tiff, TIFFTAG_SAMPLESPERPIXEL);
  const auto format = field<std::uint16_t>(tiff, TIFFTAG_SAMPLEFORMAT);
  std::uint16_t photometric = 0;
  if (TIFFGetField(tiff, TIFFTAG_PHOTOMETRIC, &photometric) != 1) {
    photometric = channels >= 3 ? PHOTOMETRIC_RGB : PHOTOMETRIC_MINISBLACK;
  }
  if (format != SAMPLEFORMAT_UINT && format != SAMPLEFORMAT_VOID) {
    throw TiffFault(std::string("holds ") + name_of_format(format) + " samples of " +
                    std::to_string(bits) + " bit; save it as TIFF or PNG of 8 or 16 bit");
  }
  const bool grey = photometric == PHOTOMETRIC_MINISBLACK || photometric == PHOTOMETRIC_MINISWHITE;
  const int colours = grey ? 1 : 3;
  const bool plain = (grey || photometric == PHOTOMETRIC_RGB) && (bits == 8 || bits == 16) &&
                     channels >= colours && channels <= 16 && width >= 1 && height >= 1 &&
                     width <= (1U << 30) && height <= (1U << 30);
  if (!plain) return std::nullopt;
  if (width > static_cast<std::uint64_t>(max_pixels) / height) {
    throw TiffFault("holds more pixels than are accepted (--max-pixels)");
  }
  const auto compression = field<std::uint16_t>(tiff, TIFFTAG_COMPRESSION);
  if (!TIFFIsCODECConfigured(compression))
    throw TiffFault("is compressed in a way that cannot be read; save it uncompressed");

  Samples read(tiff, static_cast<int>(height), static_cast<int>(width), bits, channels);
  const cv::Mat all = read.take();
  std::uint16_t extra_count = 0;
  std::uint16_t* extra = nullptr;
  TIFFGetFieldDefaulted(tiff, TIFFTAG_EXTRASAMPLES, &extra_count, &extra);
  const bool alpha = channels > colours && extra_count > 0 && extra[0] != EXTRASAMPLE_UNSPECIFIED;

  TiffPicture picture;
  std::vector<cv::Mat> planes;
  for (int i = colours - 1; i >= 0; --i) {
    cv::Mat plane;
    cv::extractChannel(all, plane, i);
    if (photometric == PHOTOMETRIC_MINISWHITE) cv::bitwise_not(plane, plane);
    planes.push_back(plane);
  }
  if (alpha) cv::extractChannel(all, planes.emplace_back(), colours);
  cv::merge(planes, picture.samples);
  if (alpha && extra[0] == EXTRASAMPLE_ASSOCALPHA) {
    if (bits == 8) {
      divide_by_alpha<std::uint8_t>(picture.samples, 255);
    } else {
      divide_by_alpha<std::uint16_t>(picture.samples, 65535);
    }
  }
  const int dropped = channels - colours - (alpha ? 1 : 0);
  if (dropped > 0) {
    picture.dropped = "has " + std::to_string(channels) + " channels, of which the first " +
                      (colours == 1 ? "one is" : "three are") + " read";
  }
  const auto orientation = field<std::uint16_t>(tiff, TIFFTAG_ORIENTATION);
  picture.orientation = orientation >= 1 && orientation <= 8 ? orientation : 1;
  return picture;
}

std::optional<std::string> encode_float16_tiff(const cv::Mat& map) {
  cv::Mat half;
  map.convertTo(half, CV_16F);
  Target target;
  File file(
      TIFFClientOpen("memory", "w", &target, read_memory<Target>, write_target, seek_memory<Target>,
                     close_memory, size_of_memory<Target>, nullptr, nullptr),
      &TIFFClose);
  TIFF* tiff = file.get();
  bool written = tiff != nullptr &&
                 TIFFSetField(tiff, TIFFTAG_IMAGEWIDTH, static_cast<std::uint32_t>(half.cols)) &&
                 TIFFSetField(tiff, TIFFTAG_IMAGELENGTH, static_cast<std::uint32_t>(half.rows)) &&
                 TIFFSetField(tiff, TIFFTAG_BITSPERSAMPLE, 16) &&
                 TIFFSetField(tiff, TIFFTAG_SAMPLESPERPIXEL, 1) &&
                 TIFFSetField(tiff, TIFFTAG_SAMPLEFORMAT, SAMPLEFORMAT_IEEEFP) &&
                 TIFFSetField(tiff, TIFFTAG_PHOTOMETRIC, PHOTOMETRIC_MINISBLACK) &&
                 TIFFSetField(tiff, TIFFTAG_COMPRESSION, COMPRESSION_NONE) &&
                 TIFFSetField(tiff, TIFFTAG_ROWSPERSTRIP, TIFFDefaultStripSize(tiff, 0));
  for (int row = 0; written && row < half.rows; ++row) {
    written = TIFFWriteScanline(tiff, half.ptr(row), static_cast<std::uint32_t>(row), 0) == 1;
  }
  if (!written) throw TiffFault("cannot be written as TIFF");
  file.reset();  // writes what is left
  return std::move(target.bytes);
}

}  // namespace nagl
