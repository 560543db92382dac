#pragma once

#include <opencv2/core/mat.hpp>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "nagl/detection/verdict.h"

namespace nagl {

/// What a report shows of one scored picture. Texts are for people, and may hold anything.
struct ReportPicture {
  std::string path;
  std::string source;  ///< the picture's file, wherever the report is read
  cv::Size size;       ///< in pixels
  double score = 0;
  Verdict verdict = Verdict::kUnknown;
  std::size_t regions = 0;
  std::string label;      ///< what it really is; empty where that is not known
  std::string error;      ///< why it was skipped; empty if it was not
  std::string overlay;    ///< path of its overlay, from the report's folder; empty: none
  std::string thumbnail;  ///< JPEG of the picture
  std::string shown;      ///< JPEG of the overlay, of the highest scores only
};

/// Fills in the two JPEGs. @param rgb, overlay uint8 [H, W, 3], or empty
void add_jpegs(ReportPicture& picture, const cv::Mat& rgb, const cv::Mat& overlay);

/// Drops the overlays' JPEGs of all but the 100 highest scores, so that neither memory nor report
/// grows by more than a thumbnail a picture.
void keep_hottest_overlays(std::vector<ReportPicture>& pictures);

struct ScoreReport {
  std::vector<std::pair<std::string, std::string>> facts;
  std::vector<ReportPicture> pictures;
  std::optional<double> threshold;  ///< that the verdicts go by
  std::optional<double> uncertain;  ///< where a third one begins
  std::vector<std::string> trust;   ///< how far that can be trusted
};

/// One HTML file without any other: thumbnails by falling score, a click on one shows its overlay,
/// and a slider moves the threshold that tells normal from anomalous. Buttons say of a picture that
/// it is good, or bad; on the overlay one can draw where. What was said is saved as a COCO file
/// with lists of both beside it (docs/formats.md), which nagl feedback takes.
std::string score_report_html(ScoreReport report);

}  // namespace nagl
