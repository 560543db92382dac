#include "nagl/image/image.h"

#include <array>
#include <cmath>
#include <new>
#include <opencv2/core.hpp>
#include <opencv2/imgcodecs.hpp>
#include <opencv2/imgproc.hpp>
#include <string>
#include <vector>

#include "nagl/core/atomic_file.h"
#include "nagl/core/error.h"
#include "nagl/image/annotation.h"

namespace nagl {
namespace {

constexpr std::size_t kLargestFile = std::size_t{1} << 31;
constexpr const char* kWrongDepth =
    "holds samples that are neither 8 nor 16 bit; save it as PNG or TIFF of 8 or 16 bit";

[[noreturn]] void fail(const std::filesystem::path& path, const std::string& why) {
  throw DataError("'" + path.string() + "' " + why);
}

/// Calls `read`; what OpenCV cannot do with the file becomes a DataError.
template <typename Read>
auto guarded(const std::filesystem::path& path, Read&& read) {
  try {
    return read();
  } catch (const cv::Exception& error) {
    fail(path, "cannot be decoded: " + error.err);
  } catch (const std::bad_alloc&) {
    fail(path, "needs more memory than there is; scale it down");
  }
}

bool is_jpeg(const std::string& bytes) { return bytes.starts_with("\xFF\xD8\xFF"); }

/// Any depth, three channels, BGR.
cv::Mat decode(const std::filesystem::path& path, const std::string& bytes, int flags) {
  const cv::Mat buffer(1, static_cast<int>(bytes.size()), CV_8U, const_cast<char*>(bytes.data()));
  cv::Mat picture = cv::imdecode(buffer, flags | cv::IMREAD_COLOR | cv::IMREAD_ANYDEPTH);
  if (!picture.empty()) return picture;
  if (!cv::imdecode(buffer, cv::IMREAD_UNCHANGED).empty()) fail(path, kWrongDepth);
  fail(path, "is not a picture that can be decoded, or it is damaged; replace or remove it");
}

std::string read_bytes(const std::filesystem::path& path) {
  std::string bytes = read_file(path, kLargestFile - 1);
  if (bytes.empty()) fail(path, "is empty; replace or remove it");
  if (is_jpeg(bytes) &&
      !jpeg_is_complete(reinterpret_cast<const unsigned char*>(bytes.data()), bytes.size())) {
    fail(path, "is a truncated JPEG; replace or remove it");
  }
  return bytes;
}

cv::Mat to_bytes(const std::filesystem::path& path, const cv::Mat& picture, int bit_depth) {
  if (picture.depth() == CV_8U) return picture;
  if (picture.depth() != CV_16U) {
    fail(path, kWrongDepth);
  }
  cv::Mat bytes;
  picture.convertTo(bytes, CV_8U, 255.0 / ((1 << bit_depth) - 1));
  return bytes;
}

bool same_proportions(const cv::Size& a, const cv::Size& b) {
  // Equal up to one pixel of rounding in the smaller of the two.
  const double expected = static_cast<double>(a.width) * b.height / b.width;
  const double scale = std::max(1.0, static_cast<double>(a.width) / b.width);
  return std::abs(expected - a.height) <= 1.0 * scale;
}

using Turn = cv::Mat (*)(const cv::Mat&);

cv::Mat transposed(const cv::Mat& m) { return m.t(); }
cv::Mat turned_left(const cv::Mat& m) {
  cv::Mat out;
  cv::rotate(m, out, cv::ROTATE_90_COUNTERCLOCKWISE);
  return out;
}
cv::Mat turned_right(const cv::Mat& m) {
  cv::Mat out;
  cv::rotate(m, out, cv::ROTATE_90_CLOCKWISE);
  return out;
}
cv::Mat transversed(const cv::Mat& m) {
  cv::Mat out;
  cv::rotate(transposed(m), out, cv::ROTATE_180);
  return out;
}

/// The quarter turn that decoding gave `image`, found by looking at what it did to the pixels;
/// nullptr if it gave none.
Turn quarter_turn_of(const Image& image) {
  const std::string bytes = read_bytes(image.path);
  cv::Mat stored, upright;
  cv::cvtColor(decode(image.path, bytes, cv::IMREAD_IGNORE_ORIENTATION), stored,
               cv::COLOR_BGR2GRAY);
  cv::cvtColor(decode(image.path, bytes, 0), upright, cv::COLOR_BGR2GRAY);
  for (const Turn turn : {turned_right, turned_left, transposed, transversed}) {
    const cv::Mat candidate = turn(stored);
    if (candidate.size() == upright.size() && cv::norm(candidate, upright, cv::NORM_INF) == 0) {
      return turn;
    }
  }
  return nullptr;
}

std::string size_text(const cv::Size& size) {
  return std::to_string(size.width) + "x" + std::to_string(size.height);
}

constexpr int kJpegQuality = 88;

void write_encoded(const std::filesystem::path& path, const cv::Mat& picture,
                   const std::string& extension, const std::vector<int>& parameters) {
  cv::Mat stored;  // not `picture` itself: converting that would change it for its owner
  if (picture.channels() == 3) {
    cv::cvtColor(picture, stored, cv::COLOR_RGB2BGR);
  } else {
    stored = picture;
  }
  std::vector<unsigned char> bytes;
  if (!cv::imencode(extension, stored, bytes, parameters)) fail(path, "cannot be encoded");
  AtomicFile file(path);
  file.write(bytes.data(), bytes.size());
  file.commit();
}

}  // namespace

void DecodeOptions::check() const {
  if (bit_depth < 9 || bit_depth > 16) throw ConfigError("bit depth must be in 9..16");
}

Image read_image(const std::filesystem::path& path, const DecodeOptions& options) {
  options.check();
  return guarded(path, [&] {
    const cv::Mat decoded = decode(path, read_bytes(path), 0);
    Image image;
    image.path = path;
    if (decoded.depth() == CV_16U && options.bit_depth == 16) {
      double largest = 0;
      cv::minMaxLoc(decoded.reshape(1), nullptr, &largest);
      image.looks_12_bit = largest < 4096;
    }
    cv::cvtColor(to_bytes(path, decoded, options.bit_depth), image.rgb, cv::COLOR_BGR2RGB);
    return image;
  });
}

cv::Mat read_mask(const std::filesystem::path& path) {
  return guarded(path, [&]() -> cv::Mat {
    const cv::Mat decoded = decode(path, read_bytes(path), cv::IMREAD_IGNORE_ORIENTATION);
    std::vector<cv::Mat> channels;
    cv::split(decoded, channels);
    cv::Mat largest;
    cv::max(channels[0], channels[1], largest);
    cv::max(largest, channels[2], largest);
    return largest > 0;
  });
}

cv::Mat read_mask_for(const Image& image, const std::filesystem::path& mask_path) {
  const cv::Mat mask =
      is_annotation(mask_path) ? read_annotation(mask_path, image.path) : read_mask(mask_path);
  const cv::Size wanted = image.rgb.size();
  if (same_proportions(mask.size(), wanted)) return mask;
  if (!image.path.empty() && same_proportions(cv::Size(mask.rows, mask.cols), wanted)) {
    if (const Turn turn = quarter_turn_of(image)) return turn(mask);
  }
  fail(mask_path, "is " + size_text(mask.size()) + ", but its picture '" + image.path.string() +
                      "' is " + size_text(wanted) + "; a mask needs the picture's proportions");
}

cv::Mat read_masks_for(const Image& image, const std::vector<std::filesystem::path>& masks) {
  cv::Mat all;
  for (const auto& path : masks) {
    cv::Mat mask = read_mask_for(image, path);
    if (all.empty()) {
      all = mask;
      continue;
    }
    if (mask.size() != all.size()) cv::resize(mask, mask, all.size(), 0, 0, cv::INTER_NEAREST);
    cv::bitwise_or(all, mask, all);
  }
  return all;
}

bool jpeg_is_complete(const unsigned char* data, std::size_t size) {
  constexpr unsigned char kStartOfImage = 0xD8, kEndOfImage = 0xD9, kStartOfScan = 0xDA;
  const auto stands_alone = [](unsigned char marker) {
    return marker == 0x01 || (marker >= 0xD0 && marker <= kStartOfImage);
  };
  std::size_t at = 2;
  while (at + 1 < size) {
    if (data[at] != 0xFF || data[at + 1] == 0xFF || data[at + 1] == 0x00) {
      ++at;  // entropy-coded data, stuffed zero, or fill byte
      continue;
    }
    const unsigned char marker = data[at + 1];
    at += 2;
    if (marker == kEndOfImage) return true;
    if (stands_alone(marker)) continue;
    if (at + 1 >= size) return false;
    const std::size_t length = static_cast<std::size_t>(data[at]) << 8 | data[at + 1];
    if (marker == kStartOfScan || length >= 2) at += length;
  }
  return false;
}

void write_png(const std::filesystem::path& path, const cv::Mat& picture) {
  write_encoded(path, picture, ".png", {});
}

void write_jpeg(const std::filesystem::path& path, const cv::Mat& picture) {
  write_encoded(path, picture, ".jpg", {cv::IMWRITE_JPEG_QUALITY, kJpegQuality});
}

}  // namespace nagl
