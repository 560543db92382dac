#include "nagl/metrics/ranking_metrics.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <stdexcept>

#include "threshold_sweep.h"

namespace nagl {
namespace {

/// Lowers a threshold through all distinct scores, the highest first, and calls
/// `visit(sweep, score)` at each. @return the finished sweep; nothing where a class is absent
template <typename Visit>
std::optional<ThresholdSweep> sweep(std::span<const double> scores,
                                    std::span<const std::uint8_t> labels, Visit&& visit) {
  if (scores.size() != labels.size()) {
    throw std::invalid_argument("ranking metrics: scores and labels differ in number");
  }
  if (std::any_of(scores.begin(), scores.end(), [](double s) { return std::isnan(s); })) {
    throw std::invalid_argument("ranking metrics: a score is not a number");
  }
  const auto anomalies = static_cast<std::size_t>(
      std::count_if(labels.begin(), labels.end(), [](auto label) { return label != 0; }));
  if (anomalies == 0 || anomalies == labels.size()) return std::nullopt;
  std::vector<std::size_t> order(scores.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::sort(order.begin(), order.end(),
            [&](std::size_t a, std::size_t b) { return scores[a] > scores[b]; });
  ThresholdSweep state(static_cast<double>(labels.size() - anomalies),
                       static_cast<double>(anomalies));
  for (std::size_t begin = 0, end = 0; begin < order.size(); begin = end) {
    double normal = 0, anomalous = 0;
    for (; end < order.size() && scores[order[end]] == scores[order[begin]]; ++end) {
      (labels[order[end]] != 0 ? anomalous : normal) += 1;
    }
    state.lower(normal, anomalous);
    visit(state, scores[order[begin]]);
  }
  return state;
}

void pass_over(const ThresholdSweep&, double) {}

}  // namespace

std::optional<double> auroc(std::span<const double> scores, std::span<const std::uint8_t> labels) {
  const auto all = sweep(scores, labels, pass_over);
  return all ? std::optional(all->area()) : std::nullopt;
}

std::optional<double> average_precision(std::span<const double> scores,
                                        std::span<const std::uint8_t> labels) {
  const auto all = sweep(scores, labels, pass_over);
  return all ? std::optional(all->average_precision()) : std::nullopt;
}

std::optional<BestF1> best_f1(std::span<const double> scores,
                              std::span<const std::uint8_t> labels) {
  BestF1 best;
  const auto all = sweep(scores, labels, [&](const ThresholdSweep& state, double score) {
    if (state.f1() > best.f1) best = {state.f1(), score};
  });
  return all ? std::optional(best) : std::nullopt;
}

std::vector<CurvePoint> roc_curve(std::span<const double> scores,
                                  std::span<const std::uint8_t> labels) {
  std::vector<CurvePoint> curve{{0, 0}};
  const auto all = sweep(scores, labels, [&](const ThresholdSweep& state, double) {
    curve.push_back({state.false_positive_rate(), state.recall()});
  });
  return all ? curve : std::vector<CurvePoint>();
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
