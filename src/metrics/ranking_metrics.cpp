#include "nagl/metrics/ranking_metrics.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <stdexcept>

#include "threshold_sweep.h"

namespace nagl {
namespace {

/// Calls `visit(normal, anomalous, score)` for each distinct score, the highest first. @return
/// whether there are both classes
template <typename Visit>
bool for_each_score_descending(std::span<const double> scores, std::span<const std::uint8_t> labels,
                               Visit&& visit) {
  if (scores.size() != labels.size()) {
    throw std::invalid_argument("ranking metrics: scores and labels differ in number");
  }
  if (std::any_of(scores.begin(), scores.end(), [](double s) { return std::isnan(s); })) {
    throw std::invalid_argument("ranking metrics: a score is not a number");
  }
  const auto anomalies = std::count_if(labels.begin(), labels.end(), [](auto l) { return l != 0; });
  if (anomalies == 0 || static_cast<std::size_t>(anomalies) == labels.size()) return false;
  std::vector<std::size_t> order(scores.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::sort(order.begin(), order.end(),
            [&](std::size_t a, std::size_t b) { return scores[a] > scores[b]; });
  for (std::size_t begin = 0, end = 0; begin < order.size(); begin = end) {
    double normal = 0, anomalous = 0;
    for (; end < order.size() && scores[order[end]] == scores[order[begin]]; ++end) {
      (labels[order[end]] != 0 ? anomalous : normal) += 1;
    }
    visit(normal, anomalous, scores[order[begin]]);
  }
  return true;
}

ThresholdSweep sweep_of(std::span<const std::uint8_t> labels) {
  const auto anomalies = std::count_if(labels.begin(), labels.end(), [](auto l) { return l != 0; });
  return {static_cast<double>(labels.size()) - static_cast<double>(anomalies),
          static_cast<double>(anomalies)};
}

}  // namespace

std::optional<double> auroc(std::span<const double> scores, std::span<const std::uint8_t> labels) {
  ThresholdSweep sweep = sweep_of(labels);
  const bool both = for_each_score_descending(
      scores, labels,
      [&](double normal, double anomalous, double) { sweep.lower(normal, anomalous); });
  if (!both) return std::nullopt;
  return sweep.area();
}

std::optional<double> average_precision(std::span<const double> scores,
                                        std::span<const std::uint8_t> labels) {
  ThresholdSweep sweep = sweep_of(labels);
  const bool both = for_each_score_descending(
      scores, labels,
      [&](double normal, double anomalous, double) { sweep.lower(normal, anomalous); });
  if (!both) return std::nullopt;
  return sweep.average_precision();
}

std::optional<BestF1> best_f1(std::span<const double> scores,
                              std::span<const std::uint8_t> labels) {
  ThresholdSweep sweep = sweep_of(labels);
  BestF1 best;
  const bool both =
      for_each_score_descending(scores, labels, [&](double normal, double anomalous, double score) {
        sweep.lower(normal, anomalous);
        if (sweep.f1() > best.f1) best = {sweep.f1(), score};
      });
  if (!both) return std::nullopt;
  return best;
}

std::vector<CurvePoint> roc_curve(std::span<const double> scores,
                                  std::span<const std::uint8_t> labels) {
  ThresholdSweep sweep = sweep_of(labels);
  std::vector<CurvePoint> curve{{0, 0}};
  const bool both =
      for_each_score_descending(scores, labels, [&](double normal, double anomalous, double) {
        sweep.lower(normal, anomalous);
        curve.push_back({sweep.false_positive_rate(), sweep.recall()});
      });
  if (!both) curve.clear();
  return curve;
}

std::vector<CurvePoint> thin_curve(const std::vector<CurvePoint>& curve, std::size_t count) {
  if (curve.size() <= count || count < 2) return curve;
  double length = 0;
  const auto step = [&](std::size_t i) {
    return std::abs(curve[i].false_alarms - curve[i - 1].false_alarms) +
           std::abs(curve[i].hits - curve[i - 1].hits);
  };
  for (std::size_t i = 1; i < curve.size(); ++i) length += step(i);
  std::vector<CurvePoint> thinned{curve.front()};
  double passed = 0;
  for (std::size_t i = 1; i + 1 < curve.size(); ++i) {
    passed += step(i);
    if (passed * static_cast<double>(count - 1) < length) continue;
    passed = 0;
    thinned.push_back(curve[i]);
  }
  thinned.push_back(curve.back());
  return thinned;
}

}  // namespace nagl
