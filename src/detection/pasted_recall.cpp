#include "nagl/detection/pasted_recall.h"

#include <algorithm>
#include <array>
#include <opencv2/imgproc.hpp>
#include <optional>
#include <vector>

#include "nagl/core/error.h"
#include "nagl/detection/calibrator.h"
#include "nagl/detection/detector.h"
#include "nagl/image/paste.h"
#include "probe_scores.h"

namespace nagl {
namespace {

constexpr std::size_t kMostDefects = 3, kLeastGood = 4;
constexpr std::array kDegrees = {0.0, 15.0, -15.0, 30.0, -30.0, 45.0, -45.0, 180.0};

/// The picture, if it still is what and where it was.
std::optional<Image> read_again(const EnrolledPicture& picture, const DecodeOptions& decode) {
  try {
    return read_reference(picture, decode);
  } catch (const DataError&) {
    return std::nullopt;
  }
}

/// The abnormal pictures whose masks were drawn, with their first views.
struct DrawnDefect {
  std::int64_t index = 0, view = 0, views = 0;
};

std::vector<DrawnDefect> drawn_defects(const ReferenceFeatures& features) {
  std::vector<DrawnDefect> drawn;
  std::int64_t view = 0, index = 0;
  for (const auto views : features.abnormal_views) {
    if (features.drawn.slice(0, view, view + views).any().item<bool>()) {
      drawn.push_back({index, view, views});
    }
    view += views;
    ++index;
  }
  return drawn;
}

/// Where a bank has the defect, in the picture's pixels.
cv::Mat marks_of(const Bank& bank, const PictureEncoder& encoder, const DrawnDefect& defect,
                 const cv::Mat& rgb) {
  const PatchGrid grid = encoder.grid();
  const TileGrid tiles = encoder.tiles_of(rgb);
  cv::Mat marks(rgb.size(), CV_8U, cv::Scalar(0));
  for (std::int64_t i = 0; i < defect.views; ++i) {
    const at::Tensor own =
        (bank.features.patch_mask[defect.view + i].to(at::kCPU, at::kByte) * 255).contiguous();
    const cv::Mat patches(static_cast<int>(grid.rows), static_cast<int>(grid.columns), CV_8U,
                          own.data_ptr());
    const cv::Rect area = tiles.at(static_cast<std::size_t>(i));
    cv::Mat large;
    cv::resize(patches, large, area.size(), 0, 0, cv::INTER_NEAREST);
    cv::Mat place = marks(area);
    cv::bitwise_or(place, large, place);
  }
  return marks;
}

}  // namespace

PastedRecall pasted_recall(const std::shared_ptr<const Backbone>& backbone, const Bank& bank,
                           std::int64_t batch_size,
                           const std::function<void(std::int64_t, std::int64_t)>& progress) {
  const c10::InferenceMode guard;
  PastedRecall recall;
  if (!bank.calibration || !bank.knows_defect()) return recall;
  const PictureEncoder encoder(backbone, bank.options.encoding, batch_size);
  const auto defects = drawn_defects(bank.features);
  std::vector<std::int64_t> good;
  for (std::size_t i = bank.features.merged > 0 ? 1 : 0; i < bank.normal.size(); ++i) {
    if (same_shots(bank.normal, bank.normal[i]).front() == static_cast<std::int64_t>(i)) {
      good.push_back(static_cast<std::int64_t>(i));
    }
  }
  if (good.size() < kLeastGood) return recall;
  const auto targets = spread(good.size(), kDegrees.size());
  const auto places = spread(defects.size(), kMostDefects);
  const auto total = static_cast<std::int64_t>(places.size() * targets.size());
  for (const auto place : places) {
    const DrawnDefect& defect = defects[place];
    const auto source = read_again(bank.abnormal[static_cast<std::size_t>(defect.index)],
                                   bank.options.encoding.decode);
    if (!source) continue;
    const cv::Mat marks = marks_of(bank, encoder, defect, source->rgb);
    Bank others = leaving_out(bank, {{}, {defect.index}});
    double threshold = bank.calibration->image_threshold;
    if (!others.knows_defect()) {
      if (bank.calibration->options.rule == ThresholdRule::kBestF1) return {};
      others.options.method = Method::kAuto;  // which does without
      try {
        threshold =
            calibrate(backbone, others, {}, bank.calibration->options, batch_size).image_threshold;
      } catch (const DataError&) {  // its pictures are not there any more
        return {};
      }
    }
    for (std::size_t i = 0; i < targets.size(); ++i) {
      if (progress) progress(recall.pasted, total);
      const EnrolledPicture& picture = bank.normal[static_cast<std::size_t>(good[targets[i]])];
      auto target = read_again(picture, bank.options.encoding.decode);
      if (!target) continue;
      target->rgb = pasted(target->rgb, source->rgb, marks, kDegrees[i]);
      const Detector detector(backbone, leaving_out(others, {same_shots(bank.normal, picture), {}}),
                              batch_size);
      ++recall.pasted;
      recall.found += detector.score(*target).raw_image_score() > threshold;
    }
  }
  return recall;
}

}  // namespace nagl
