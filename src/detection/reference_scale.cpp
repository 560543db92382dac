#include "nagl/detection/reference_scale.h"

#include <algorithm>
#include <opencv2/core.hpp>
#include <vector>

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
  const Method method = detector.options().method;
  const bool alone = uses_normal(method) && detector.bank().normal_count() == 1;
  at::Tensor scores =
      alone ? mirrored_scores(detector, reference) : left_out_scores(detector.bank(), method);
  if (!roi.empty()) scores = scores.index({at::indexing::Slice(), detector.roi_patches(roi)});
  std::vector<double> hottest;
  for (std::int64_t i = 0; i < scores.size(0); ++i) hottest.push_back(image_score(scores[i]));
  const auto middle = hottest.begin() + static_cast<std::ptrdiff_t>(hottest.size() / 2);
  std::nth_element(hottest.begin(), middle, hottest.end());

  ColourScale scale;
  scale.low = scores.median().item<double>();
  scale.good = *middle;
  const double reach = uses_abnormal(method) ? 2 : 4;
  const double high = scale.low + std::max(reach * (scale.good - scale.low), kNarrowest);
  scale.high = std::min(high, 1.0);
  return scale;
}

}  // namespace nagl
