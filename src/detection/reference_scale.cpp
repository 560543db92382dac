#include "nagl/detection/reference_scale.h"

#include <algorithm>
#include <opencv2/core.hpp>
#include <opencv2/imgproc.hpp>
#include <vector>

#include "nagl/image/anomaly_map.h"

namespace nagl {
namespace {

constexpr std::int64_t kMostLeftOut = 16;
constexpr double kNarrowest = 1e-3;  // so that identical references do not make noise look hot

/// [references, patches]
at::Tensor left_out_scores(const ReferenceBank& bank, Method method) {
  const std::int64_t count = bank.normal_count(), used = std::min(count, kMostLeftOut);
  std::vector<at::Tensor> scores;
  for (std::int64_t i = 0; i < used; ++i) {
    scores.push_back(bank.score_left_out(i * count / used, method).to(at::kCPU));
  }
  return at::stack(scores);
}

/// [1, patches]
at::Tensor mirrored_scores(const Detector& detector, const std::filesystem::path& reference) {
  Query query;
  query.image = read_image(reference, detector.options().decode);
  cv::flip(query.image.rgb, query.image.rgb, /*around the vertical axis*/ 1);
  return detector.detect(query).patch_scores.reshape({1, -1});
}

}  // namespace

ColourScale reference_scale(const Detector& detector, const std::filesystem::path& reference,
                            const cv::Mat& roi) {
  const c10::InferenceMode guard;
  const Method method = detector.bank().effective(detector.options().method);
  const bool alone = uses_normal(method) && detector.bank().normal_count() == 1;
  at::Tensor scores =
      alone ? mirrored_scores(detector, reference) : left_out_scores(detector.bank(), method);
  const ImageSize size = detector.options().image_size;
  const cv::Size network(static_cast<int>(size.width), static_cast<int>(size.height));
  const std::int64_t patch = detector.backbone().patch();
  cv::Mat inside;
  at::Tensor counted;  // the patches that count, and in `inside` the pixels that they cover
  if (!roi.empty()) {
    counted = detector.roi_patches(roi);
    const cv::Mat grid(static_cast<int>(size.height / patch), static_cast<int>(size.width / patch),
                       CV_8U, counted.data_ptr());
    cv::resize(grid, inside, network, 0, 0, cv::INTER_NEAREST);
  }

  // The peaks of maps, as overlays show maps: smoothing makes them lower than patch scores.
  std::vector<double> peaks;
  for (std::int64_t i = 0; i < scores.size(0); ++i) {
    const cv::Mat map =
        make_anomaly_map(scores[i].reshape({size.height / patch, size.width / patch}), network);
    double peak = 0;
    cv::minMaxLoc(map, nullptr, &peak, nullptr, nullptr, inside);
    peaks.push_back(peak);
  }
  const auto middle = peaks.begin() + static_cast<std::ptrdiff_t>(peaks.size() / 2);
  std::nth_element(peaks.begin(), middle, peaks.end());
  if (counted.defined()) scores = scores.index({at::indexing::Slice(), counted});

  ColourScale scale;
  scale.low = scores.median().item<double>();
  scale.good = *middle;
  const double reach = uses_abnormal(method) ? 2 : 3;
  const double high = scale.low + std::max(reach * (scale.good - scale.low), kNarrowest);
  scale.high = std::min(high, 1.0);
  return scale;
}

}  // namespace nagl
