#pragma once

#include <filesystem>
#include <opencv2/core/mat.hpp>
#include <string>

#include "nagl/dataset/dataset.h"

namespace nagl::jobs {

/// Maps of pictures whose truth the authors of a benchmark keep, as their server takes them (MVTec
/// AD 2): `anomaly_images/CATEGORY/SPLIT/NAME.tiff`, 16-bit floating point, and
/// `anomaly_images_thresholded/CATEGORY/SPLIT/NAME.png`, 0 and 255; all packed as `.tar.gz`.
class Submission {
 public:
  explicit Submission(std::filesystem::path folder) : folder_(std::move(folder)) {}

  /// Whether all files of a category are there already.
  bool holds(const Category& category) const;
  /// @param map float32 [H, W] @param pixel_cut pixels above it are anomalous
  /// @throws DataError naming a file that cannot be written
  void write(const std::string& category, const std::string& split,
             const std::filesystem::path& picture, const cv::Mat& map, double pixel_cut) const;
  /// Packs the folder's two folders. @return the archive, beside it
  /// @throws Error if `tar` fails
  std::filesystem::path pack() const;

 private:
  std::filesystem::path place(const char* kind, const std::string& category,
                              const std::string& split, const std::filesystem::path& picture,
                              const char* extension) const;

  std::filesystem::path folder_;
};

}  // namespace nagl::jobs
