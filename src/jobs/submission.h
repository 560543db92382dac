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

  /// Whether all files of a category are there already, of that evaluation.
  bool holds(const Category& category, const std::string& evaluation) const;
  /// @param map float32 [H, W] @param pixel_cut pixels above it are anomalous
  /// @throws DataError naming a file that cannot be written
  void write(const std::string& category, const std::string& split,
             const std::filesystem::path& picture, const cv::Mat& map, double pixel_cut) const;
  /// Notes that all files of a category are there.
  void finish(const Category& category, const std::string& evaluation) const;
  /// The archive, beside the folder.
  std::filesystem::path archive() const;
  /// Packs the files of a data set's categories into it.
  /// @throws Error if one of them is not there, or `tar` fails
  void pack(const Dataset& dataset, const std::string& evaluation) const;

 private:
  /// Of which evaluation the files of a category are.
  std::filesystem::path note(const Category& category) const;
  std::filesystem::path place(const char* kind, const std::string& category,
                              const std::string& split, const std::filesystem::path& picture,
                              const char* extension) const;

  std::filesystem::path folder_;
};

}  // namespace nagl::jobs
