#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <utility>
#include <vector>

#include "nagl/detection/bank.h"
#include "nagl/detection/calibration.h"
#include "nagl/detection/detector.h"
#include "nagl/image/image.h"
#include "nagl/model/backbone.h"

namespace nagl {

/// Pictures to calibrate with.
struct CalibrationPictures {
  std::vector<std::filesystem::path> normal;    ///< good ones; empty: the bank's own references
  std::vector<std::filesystem::path> abnormal;  ///< known defects
};

/// What a person should know of a calibration's pictures.
struct CalibrationFindings {
  /// Defects that cannot be scored fairly: the only abnormal reference of a method that uses it.
  std::vector<std::filesystem::path> left_aside;
  /// Good pictures that are the same shot as an earlier one, with that: they do not count again.
  std::vector<std::pair<std::filesystem::path, std::filesystem::path>> copies;
};

/// A reference's picture, read again. @throws DataError if it is not what and where it was
Image read_reference(const EnrolledPicture& picture, const DecodeOptions& decode);

/// Scores a picture by features of it that were encoded before.
/// @param features [N, C] by tile @throws as `Detector::score`
PictureScores score_features(const Detector& detector, const EnrolledPicture& picture,
                             const std::vector<at::Tensor>& features);

/// Chooses thresholds for a bank. A picture that is one of its references is scored with itself,
/// and all that are the same shot, left out; a bank's only reference counts where there are no
/// other good pictures. Of pictures that are the same shot, one counts. Where there are fewer than
/// 4 good pictures, each is also scored slightly turned, shifted, brightened and darkened, for want
/// of others to tell a spread from. The bank's own references are scored by what it holds of them;
/// those of a thinned bank, of one of nagl 0.1, and fewer than 4 are read again.
/// @param progress called with how many pictures are done, and of how many
/// @param findings null: nobody asks
/// @throws DataError if a picture cannot be read, or references that must be read again are not
///         what and where they were;
///         ConfigError if the rule needs defects and there are none
Calibration calibrate(const std::shared_ptr<const Backbone>& backbone, const Bank& bank,
                      const CalibrationPictures& pictures, const CalibrationOptions& options,
                      std::int64_t batch_size,
                      const std::function<void(std::int64_t, std::int64_t)>& progress = {},
                      CalibrationFindings* findings = nullptr);

}  // namespace nagl
