#include "nagl/detection/drift.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <opencv2/imgproc.hpp>

#include "nagl/core/quantile.h"

namespace nagl {
namespace {

// A change of light, sharpness or position that is worth a word, as a share.
constexpr double kLight = 0.1, kSharpness = 0.2, kShift = 0.02;

/// The mean grey, 0 to 255.
double light(const cv::Mat& grey) { return cv::mean(grey)[0]; }

/// How much grey differs from its neighbourhood.
double sharpness(const cv::Mat& grey) {
  cv::Mat smooth, difference;
  cv::GaussianBlur(grey, smooth, {}, 2);
  cv::absdiff(grey, smooth, difference);
  return cv::mean(difference)[0];
}

double median_of(double (*of)(const cv::Mat&), const std::vector<cv::Mat>& greys) {
  std::vector<double> values;
  for (const auto& grey : greys) values.push_back(of(grey));
  return median(values);
}

cv::Mat mean_of(const std::vector<cv::Mat>& greys) {
  cv::Mat sum = cv::Mat::zeros(greys.front().size(), CV_32F);
  for (const auto& grey : greys) cv::accumulate(grey, sum);
  return sum / static_cast<double>(greys.size());
}

}  // namespace

DriftWatch::DriftWatch(const Bank& bank) : range_(bank.score_range()) {
  if (bank.calibration) {
    least_ = bank.calibration->good_least;
    most_ = bank.calibration->good_most;
  }
  for (const auto& picture : bank.normal) {
    if (!picture.thumbnail.grey().empty()) references_.push_back(picture.thumbnail.grey());
  }
}

/// What differs between the window and the references; empty if nothing can be seen.
std::string DriftWatch::change() const {
  if (references_.empty()) return "";
  std::vector<cv::Mat> recent;
  for (const auto& seen : window_) recent.push_back(seen.grey);
  const double was = median_of(light, references_), is = median_of(light, recent);
  const double sharp_was = median_of(sharpness, references_);
  const double sharp_is = median_of(sharpness, recent);
  const cv::Point2d moved = cv::phaseCorrelate(mean_of(references_), mean_of(recent));
  const double shift = std::hypot(moved.x, moved.y) / Thumbnail::kSide;
  std::vector<std::string> changes;
  if (std::abs(is - was) > kLight * std::max(was, 1.0)) {
    changes.push_back(fmt::format("they are {} ({:.0f} instead of {:.0f} of 255)",
                                  is > was ? "brighter" : "darker", is, was));
  }
  if (std::abs(sharp_is - sharp_was) > kSharpness * std::max(sharp_was, 0.1)) {
    changes.push_back(fmt::format("they are {}", sharp_is > sharp_was ? "sharper" : "less sharp"));
  }
  if (changes.empty() && shift > kShift) {
    changes.push_back(
        fmt::format("what they show has moved by {:.0f} % of their side", 100 * shift));
  }
  return fmt::format("{}", fmt::join(changes, ", "));
}

std::optional<std::string> DriftWatch::see(const Image& image, double raw_score) {
  if (told_ || !least_ || !most_) return std::nullopt;
  window_.push_back({image.path, raw_score, Thumbnail(image.rgb).grey()});
  if (window_.size() > kWindow) window_.pop_front();
  if (window_.size() < kWindow) return std::nullopt;
  std::vector<double> scores;
  for (const auto& seen : window_) scores.push_back(seen.score);
  const double middle = median(scores);
  if (middle >= *least_ && middle <= *most_) return std::nullopt;
  told_ = true;
  // Usual ones of what there is now: nearest to the median.
  std::vector<const Seen*> usual;
  for (const auto& seen : window_) usual.push_back(&seen);
  std::sort(usual.begin(), usual.end(), [&](const Seen* a, const Seen* b) {
    return std::abs(a->score - middle) < std::abs(b->score - middle);
  });
  constexpr std::size_t kSuggested = 3;
  std::vector<std::string> names;
  for (std::size_t i = 0; i < kSuggested; ++i)
    names.push_back(fmt::format("'{}'", usual[i]->path.string()));
  const std::string changed = change();
  return fmt::format(
      "the pictures have changed: half of the last {} score {} {:.4f}, where good pictures had "
      "{:.4f} to {:.4f} when the bank was calibrated{}{}. If they are good, enroll some of them "
      "(nagl enroll --add) and calibrate again, e.g. {}",
      kWindow, middle > *most_ ? "above" : "below", shown_score(middle, range_),
      shown_score(*least_, range_), shown_score(*most_, range_), changed.empty() ? "" : "; ",
      changed, fmt::join(names, ", "));
}

}  // namespace nagl
