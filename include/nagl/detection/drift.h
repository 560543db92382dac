#pragma once

#include <cstddef>
#include <deque>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "nagl/detection/bank.h"
#include "nagl/image/image.h"

namespace nagl {

/// Tells when what a camera sends is no longer what a bank was calibrated with: the median score of
/// the last pictures lies outside all scores that good pictures had then. Most pictures of a line
/// are good, so that this is light, focus or position rather than the parts.
class DriftWatch {
 public:
  /// Pictures that it goes by.
  static constexpr std::size_t kWindow = 50;

  /// @param bank calibrated; else, or by nagl 0.1, it never tells anything
  explicit DriftWatch(const Bank& bank);

  /// The next picture.
  /// @param raw_score its image score
  /// @return once, a sentence for a person: what changed, as far as it can be seen, and which
  ///         pictures to enroll
  std::optional<std::string> see(const Image& image, double raw_score);

 private:
  struct Seen {
    std::filesystem::path path;
    double score = 0;
    cv::Mat grey;
  };

  std::string change() const;

  ScoreRange range_;
  std::optional<double> least_, most_;
  std::vector<cv::Mat> references_;  ///< thumbnails
  std::deque<Seen> window_;
  bool told_ = false;
};

}  // namespace nagl
