#include "nagl/metrics/auroc.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <stdexcept>
#include <vector>

namespace nagl {

std::optional<double> auroc(std::span<const double> scores, std::span<const std::uint8_t> labels) {
  if (scores.size() != labels.size()) {
    throw std::invalid_argument("auroc: scores and labels differ in number");
  }
  if (std::any_of(scores.begin(), scores.end(), [](double s) { return std::isnan(s); })) {
    throw std::invalid_argument("auroc: a score is not a number");
  }
  std::vector<std::size_t> order(scores.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::sort(order.begin(), order.end(),
            [&](std::size_t a, std::size_t b) { return scores[a] < scores[b]; });

  // Over groups of equal scores: each anomalous one beats all normal ones of lower groups and half
  // of those of its own.
  double wins = 0, normals = 0, anomalies = 0;
  for (std::size_t begin = 0; begin < order.size();) {
    double group_normals = 0, group_anomalies = 0;
    std::size_t end = begin;
    for (; end < order.size() && scores[order[end]] == scores[order[begin]]; ++end) {
      (labels[order[end]] ? group_anomalies : group_normals) += 1;
    }
    wins += group_anomalies * (normals + 0.5 * group_normals);
    normals += group_normals;
    anomalies += group_anomalies;
    begin = end;
  }
  if (normals == 0 || anomalies == 0) return std::nullopt;
  return wins / (normals * anomalies);
}

}  // namespace nagl
