#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

namespace nagl {

/// Metrics of how well `scores` (higher means more anomalous) tell anomalous from normal pictures
/// (`labels`: 0 normal, anything else anomalous). All are exact and take O(n log n). They are
/// absent where one of the two classes is, and throw std::invalid_argument if the lengths differ or
/// a score is not a number.

/// Area under the ROC curve: the probability that an anomalous picture scores above a normal one,
/// ties counting one half (Mann-Whitney U). In [0, 1].
std::optional<double> auroc(std::span<const double> scores, std::span<const std::uint8_t> labels);

/// Average precision: precision at each distinct score, weighted by what recall gains there,
/// without interpolation (as scikit-learn's average_precision_score). In [0, 1].
std::optional<double> average_precision(std::span<const double> scores,
                                        std::span<const std::uint8_t> labels);

/// The largest F1 score, the harmonic mean of precision and recall, over all thresholds.
struct BestF1 {
  double f1 = 0;         ///< in [0, 1]
  double threshold = 0;  ///< what scores this or more counts as anomalous
};
std::optional<BestF1> best_f1(std::span<const double> scores, std::span<const std::uint8_t> labels);

/// A point of a ROC curve, of a PRO curve (where `hits` is the mean overlap), rates in [0, 1].
struct CurvePoint {
  double false_alarms = 0;  ///< false-positive rate
  double hits = 0;          ///< true-positive rate
};

/// The ROC curve from (0, 0) to (1, 1), a point for each distinct score. Empty where one of the
/// classes is absent.
std::vector<CurvePoint> roc_curve(std::span<const double> scores,
                                  std::span<const std::uint8_t> labels);

/// A curve with no more than about `count` of its points, spread evenly along it; first and last
/// are kept.
std::vector<CurvePoint> thin_curve(const std::vector<CurvePoint>& curve, std::size_t count);

}  // namespace nagl
