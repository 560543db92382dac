#include "nagl/detection/reference_scale.h"

#include <algorithm>
#include <opencv2/core.hpp>
#include <opencv2/imgproc.hpp>
#include <vector>

#include "nagl/image/anomaly_map.h"

namespace nagl {
namespace {

/// Where no good picture says more: standardised scores, a third of the way up for the hottest
/// good.
constexpr ColourScale kUsualDeviations{0, 9, 3};
constexpr double kNarrowest = 1e-3;  // so that identical references do not make noise look hot

}  // namespace

ColourScale reference_scale(const Detector& detector, const cv::Mat& given) {
  const cv::Mat roi = common_roi(given, detector.bank().roi);
  const c10::InferenceMode guard;
  at::Tensor scores = detector.bank().probe_scores;
  const bool unbounded = detector.bank().score_range() == ScoreRange::kUnbounded;
  if (!scores.defined()) return unbounded ? kUsualDeviations : ColourScale();
  const Method method = detector.references().effective(detector.options().method);
  const ImageSize size = detector.options().encoding.image_size;
  const cv::Size network(static_cast<int>(size.width), static_cast<int>(size.height));
  const PatchGrid patches = detector.grid();
  cv::Mat inside;
  at::Tensor counted;  // the patches that count, and in `inside` the pixels that they cover
  if (!roi.empty() && detector.options().encoding.tiling.tile == 0) {
    counted = detector.roi_patches(roi);
    const cv::Mat grid(static_cast<int>(patches.rows), static_cast<int>(patches.columns), CV_8U,
                       counted.data_ptr());
    cv::resize(grid, inside, network, 0, 0, cv::INTER_NEAREST);
  }

  // The peaks of maps, as overlays show maps: smoothing makes them lower than patch scores.
  std::vector<double> peaks;
  for (std::int64_t i = 0; i < scores.size(0); ++i) {
    const cv::Mat map =
        make_anomaly_map(scores[i].reshape({patches.rows, patches.columns}), network);
    double peak = 0;
    cv::minMaxLoc(map, nullptr, &peak, nullptr, nullptr, inside);
    peaks.push_back(peak);
  }
  const auto middle = peaks.begin() + static_cast<std::ptrdiff_t>(peaks.size() / 2);
  std::nth_element(peaks.begin(), middle, peaks.end());
  if (counted.defined()) scores = scores.index({at::indexing::Slice(), counted});

  ColourScale scale;
  scale.low = scores.median().item<double>();
  const auto& thresholds = detector.thresholds();
  scale.good = thresholds ? std::max(thresholds->map, scale.low) : *middle;
  // Methods that use abnormal references and have bounds leave less room above good pictures.
  const double reach = uses_abnormal(method) && !unbounded ? 2 : 3;
  const double high = scale.low + std::max(reach * (scale.good - scale.low), kNarrowest);
  scale.high = std::min(high, highest_score(range_of(method)));
  return scale;
}

}  // namespace nagl
