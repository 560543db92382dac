#pragma once

#include <opencv2/core/mat.hpp>

namespace nagl {

/// A picture small enough to be kept, by which copies of it are recognised that were saved again in
/// another format, size or quality.
class Thumbnail {
 public:
  static constexpr int kSide = 128;

  Thumbnail() = default;  ///< of no picture: like no other
  /// @param rgb uint8 [H, W, 3]
  explicit Thumbnail(const cv::Mat& rgb);
  /// @param grey uint8 [kSide, kSide], as `grey` gives it
  static Thumbnail of_grey(const cv::Mat& grey);

  const cv::Mat& grey() const { return grey_; }

  /// Whether the other is the same shot: the finest detail of both correlates by 0.98 or more (that
  /// of one part photographed twice in a fixture by 0.973 at most, in docs/banks.md), and their
  /// brightness is the same.
  bool is_near_copy(const Thumbnail& other) const;

 private:
  cv::Mat grey_;  ///< uint8 [kSide, kSide]
  double mean_ = 0;
};

}  // namespace nagl
