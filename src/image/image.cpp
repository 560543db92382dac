#include "nagl/image/image.h"

#include <fmt/format.h>

#include <map>
#include <opencv2/core.hpp>
#include <opencv2/imgcodecs.hpp>
#include <opencv2/imgproc.hpp>
#include <set>

#include "decoding.h"
#include "nagl/core/atomic_file.h"
#include "nagl/core/error.h"
#include "nagl/image/image_bytes.h"
#include "tiff.h"

namespace nagl {
namespace {

constexpr int kJpegQuality = 88;

/// @return empty if it cannot be encoded
std::vector<unsigned char> encoded(const cv::Mat& picture, const std::string& extension,
                                   const std::vector<int>& parameters) {
  cv::Mat stored;  // not `picture` itself: converting that would change it for its owner
  if (picture.channels() == 3) {
    cv::cvtColor(picture, stored, cv::COLOR_RGB2BGR);
  } else {
    stored = picture;
  }
  std::vector<unsigned char> bytes;
  if (!cv::imencode(extension, stored, bytes, parameters)) bytes.clear();
  return bytes;
}

void write_encoded(const std::filesystem::path& path, const cv::Mat& picture,
                   const std::string& extension, const std::vector<int>& parameters) {
  const auto bytes = encoded(picture, extension, parameters);
  if (bytes.empty()) fail_picture(path, "cannot be encoded");
  AtomicFile file(path);
  file.write(bytes.data(), bytes.size());
  file.commit();
}

}  // namespace

std::vector<std::string> summarize(const std::vector<Remark>& remarks) {
  std::vector<std::string> kinds, lines;
  std::map<std::string, std::set<std::string>> seen;  // texts by kind
  for (const auto& remark : remarks) {
    auto& texts = seen[remark.kind];
    if (texts.empty()) {
      kinds.push_back(remark.kind);
      lines.push_back(remark.text);
    }
    texts.insert(remark.text);
  }
  for (std::size_t i = 0; i < kinds.size(); ++i) {
    const std::size_t others = seen[kinds[i]].size() - 1;
    if (others > 0) lines[i] += fmt::format("; {} other{} too", others, others == 1 ? "" : "s");
  }
  return lines;
}

void DecodeOptions::check() const {
  if (bit_depth < 9 || bit_depth > 16) throw ConfigError("bit depth must be in 9..16");
  if (max_pixels < 1) throw ConfigError("the most pixels of a picture must be above 0");
}

Image image_of(const std::filesystem::path& path, Decoded decoded, const DecodeOptions& options) {
  Image image;
  image.path = path;
  image.remarks = std::move(decoded.remarks);
  const cv::Mat& samples = decoded.samples;
  double white = 255;
  if (samples.depth() == CV_16U) {
    white = (1 << options.bit_depth) - 1;
    double largest = 0;
    cv::minMaxLoc(samples.reshape(1), nullptr, &largest);
    if (decoded.header.largest_value == 0 && options.bit_depth == 16 && largest < 4096) {
      image.remarks.push_back(
          {"low values",
           fmt::format("'{}' is a 16-bit picture without values of 4096 or more and will look "
                       "dark; if it holds 12 bits, give --bit-depth 12",
                       path.string())});
    }
  } else if (samples.depth() != CV_8U) {
    fail_picture(path, kWrongDepth);
  }
  if (decoded.header.largest_value > 0) white = decoded.header.largest_value;
  cv::Mat bytes = samples;
  if (samples.depth() != CV_8U || white != 255) samples.convertTo(bytes, CV_8U, 255.0 / white);
  cv::cvtColor(bytes, image.rgb, cv::COLOR_BGR2RGB);
  return image;
}

Image read_image(const std::filesystem::path& path, const DecodeOptions& options) {
  options.check();
  Decoding wanted;
  wanted.max_pixels = options.max_pixels;
  return guarded(path, [&] { return image_of(path, decode_file(path, wanted), options); });
}

Image decode_image(const std::string& bytes, const std::string& name,
                   const DecodeOptions& options) {
  options.check();
  Decoding wanted;
  wanted.max_pixels = options.max_pixels;
  if (bytes.empty()) fail_picture(name, "is empty");
  return guarded(name, [&] { return image_of(name, decode_bytes(name, bytes, wanted), options); });
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

std::string encode_png(const cv::Mat& picture) {
  const auto bytes = encoded(picture, ".png", {});
  if (bytes.empty()) throw Error("a picture cannot be encoded as PNG");
  return {bytes.begin(), bytes.end()};
}

void write_float16_tiff(const std::filesystem::path& path, const cv::Mat& map) {
  try {
    const auto bytes = encode_float16_tiff(map);
    if (!bytes) {
      throw DataError(fmt::format(
          "cannot write '{}': nagl was built without libtiff; install it (libtiff-dev) and build "
          "again",
          path.string()));
    }
    write_file(path, *bytes);
  } catch (const TiffFault& fault) {
    throw DataError(fmt::format("'{}' {}", path.string(), fault.what()));
  }
}

void write_jpeg(const std::filesystem::path& path, const cv::Mat& picture) {
  write_encoded(path, picture, ".jpg", {cv::IMWRITE_JPEG_QUALITY, kJpegQuality});
}

}  // namespace nagl
