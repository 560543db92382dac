#include "nagl/image/mask.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <opencv2/core.hpp>
#include <opencv2/imgproc.hpp>
#include <set>

#include "decoding.h"
#include "nagl/image/annotation.h"

namespace nagl {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kFewValues = 16;     ///< more are shades, not classes
constexpr double kNearlyEverything = 0.9;  ///< share of the picture

/// The largest colour of each pixel, as float, and its alpha from 0 to 1.
struct Layers {
  cv::Mat value, alpha;  ///< CV_32F; no alpha: empty
};

Layers layers_of(const cv::Mat& samples) {
  const double white = samples.depth() == CV_16U ? 65535 : samples.depth() == CV_8U ? 255 : 1;
  const bool transparent = samples.channels() == 2 || samples.channels() == 4;
  Layers layers;
  cv::Mat largest, channel;
  cv::extractChannel(samples, largest, 0);
  for (int i = 1; i < samples.channels() - (transparent ? 1 : 0); ++i) {
    cv::extractChannel(samples, channel, i);
    cv::max(largest, channel, largest);
  }
  largest.convertTo(layers.value, CV_32F);
  if (transparent) {
    cv::extractChannel(samples, channel, samples.channels() - 1);
    channel.convertTo(layers.alpha, CV_32F, 1 / white);
  }
  return layers;
}

bool is_grey(const cv::Mat& samples) {
  if (samples.channels() < 3) return true;
  std::vector<cv::Mat> channels;
  cv::split(samples, channels);
  return cv::norm(channels[0], channels[1], cv::NORM_INF) == 0 &&
         cv::norm(channels[1], channels[2], cv::NORM_INF) == 0;
}

bool varies(const cv::Mat& values) {
  double least = 0, most = 0;
  cv::minMaxLoc(values, &least, &most);
  return least < most;
}

/// Whether there are more different values than a file of classes has.
bool has_shades(const cv::Mat& values) {
  std::set<float> seen;
  for (int y = 0; y < values.rows; ++y) {
    const float* row = values.ptr<float>(y);
    for (int x = 0; x < values.cols; ++x) {
      if (x > 0 && row[x] == row[x - 1]) continue;
      seen.insert(row[x]);
      if (seen.size() > kFewValues) return true;
    }
  }
  return false;
}

cv::Mat above_half(const cv::Mat& values) {
  double most = 0;
  cv::minMaxLoc(values, nullptr, &most);
  return most > 0 ? cv::Mat(values > most / 2) : cv::Mat(cv::Mat::zeros(values.size(), CV_8U));
}

/// What can be seen of a picture whose transparency varies.
cv::Mat seen_marks(const Layers& layers) {
  const cv::Mat opaque = layers.alpha >= 0.5;
  const cv::Mat coloured = (layers.value > 0) & opaque;
  const int colour = cv::countNonZero(coloured);
  const bool black_ground = colour > 0 && colour < cv::countNonZero(opaque);
  return black_ground ? coloured : opaque;
}

double share_of(const cv::Mat& marks) {
  return static_cast<double>(cv::countNonZero(marks)) / static_cast<double>(marks.total());
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
  const auto grey = [&](bool as_stored) {
    Decoding wanted;
    wanted.as_stored = as_stored;
    wanted.max_pixels = std::max(wanted.max_pixels, static_cast<std::int64_t>(image.rgb.total()));
    cv::Mat picture;
    cv::cvtColor(decode_file(image.path, wanted).samples, picture, cv::COLOR_BGR2GRAY);
    return picture;
  };
  const cv::Mat stored = grey(true), upright = grey(false);
  for (const Turn turn : {turned_right, turned_left, transposed, transversed}) {
    const cv::Mat candidate = turn(stored);
    if (candidate.size() == upright.size() && cv::norm(candidate, upright, cv::NORM_INF) == 0) {
      return turn;
    }
  }
  return nullptr;
}

/// A mask may be as large as its picture, which was accepted.
std::int64_t largest_for(const Image& image) {
  return std::max(DecodeOptions().max_pixels, static_cast<std::int64_t>(image.rgb.total()));
}

Mask decode_mask(const fs::path& path, std::int64_t max_pixels) {
  Decoding wanted;
  wanted.max_pixels = max_pixels;
  wanted.as_stored = true;
  wanted.with_alpha = true;
  Decoded decoded = decode_file(path, wanted);
  const Layers layers = layers_of(decoded.samples);
  Mask mask;
  mask.remarks = std::move(decoded.remarks);
  if (!layers.alpha.empty() && varies(layers.alpha)) {
    mask.marks = seen_marks(layers);
  } else if (decoded.header.lossy) {
    mask.marks = above_half(layers.value);
  } else if ((decoded.header.palette && !is_grey(decoded.samples)) || !has_shades(layers.value)) {
    mask.marks = layers.value > 0;
  } else {
    mask.marks = above_half(layers.value);
    mask.remarks.push_back(
        {"mask of shades", fmt::format("the mask '{}' holds over {} shades; above half of the "
                                       "lightest counts as marked",
                                       path.string(), kFewValues)});
  }
  if (cv::countNonZero(mask.marks == 0) == 0) {
    mask.remarks.push_back(
        {"mask without a ground",
         fmt::format("the mask '{}' has no value 0, so the whole picture is marked; is its ground "
                     "another value, or is it inverted?",
                     path.string())});
  }
  return mask;
}

Mask decode_mask_for(const Image& image, const fs::path& mask_path) {
  Mask mask;
  if (is_annotation(mask_path)) {
    mask.marks = read_annotation(mask_path, image);
  } else {
    mask = decode_mask(mask_path, largest_for(image));
  }
  const cv::Size wanted = image.rgb.size();
  if (same_proportions(mask.marks.size(), wanted)) return mask;
  if (!image.path.empty() && same_proportions(cv::Size(mask.marks.rows, mask.marks.cols), wanted)) {
    if (const Turn turn = quarter_turn_of(image)) {
      mask.marks = turn(mask.marks);
      return mask;
    }
  }
  fail_picture(mask_path, "is " + size_text(mask.marks.size()) + ", but its picture '" +
                              image.path.string() + "' is " + size_text(wanted) +
                              "; a mask needs the picture's proportions");
}

}  // namespace

bool same_proportions(const cv::Size& a, const cv::Size& b) {
  // Equal up to one pixel of rounding in the smaller of the two.
  const double expected = static_cast<double>(a.width) * b.height / b.width;
  const double scale = std::max(1.0, static_cast<double>(a.width) / b.width);
  return std::abs(expected - a.height) <= 1.0 * scale;
}

Mask read_mask(const fs::path& path, std::int64_t max_pixels) {
  return guarded(path, [&] { return decode_mask(path, max_pixels); });
}

Mask read_mask_for(const Image& image, const fs::path& mask_path) {
  return guarded(mask_path, [&] { return decode_mask_for(image, mask_path); });
}

Mask read_masks_for(const Image& image, const std::vector<fs::path>& masks) {
  Mask all;
  for (const auto& path : masks) {
    Mask mask = read_mask_for(image, path);
    const double share = share_of(mask.marks);
    if (share > kNearlyEverything && share < 1) {
      mask.remarks.push_back(
          {"mask of nearly everything",
           fmt::format("the mask '{}' marks {:.1f} % of its picture; is it inverted?",
                       path.string(), 100 * share)});
    }
    all.remarks.insert(all.remarks.end(), mask.remarks.begin(), mask.remarks.end());
    if (all.marks.empty()) {
      all.marks = mask.marks;
      continue;
    }
    if (mask.marks.size() != all.marks.size()) {
      cv::resize(mask.marks, mask.marks, all.marks.size(), 0, 0, cv::INTER_NEAREST);
    }
    cv::bitwise_or(all.marks, mask.marks, all.marks);
  }
  return all;
}

}  // namespace nagl
