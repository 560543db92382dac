#pragma once

#include <algorithm>

namespace nagl {

/// What image and pixel metrics share: a threshold that goes down over groups of equal scores, and
/// what is above it.
class ThresholdSweep {
 public:
  /// @param normals, anomalies how many there are in all, both above 0
  ThresholdSweep(double normals, double anomalies) : normals_(normals), anomalies_(anomalies) {}

  /// Takes the next group, which scores less than all before.
  void lower(double normal, double anomalous) {
    wins_ += normal * (true_positives_ + 0.5 * anomalous);
    true_positives_ += anomalous;
    false_positives_ += normal;
    if (anomalous > 0) precision_sum_ += anomalous * precision();
  }

  double recall() const { return true_positives_ / anomalies_; }
  double false_positive_rate() const { return false_positives_ / normals_; }
  double precision() const { return true_positives_ / (true_positives_ + false_positives_); }
  double f1() const {
    return 2 * true_positives_ / (true_positives_ + false_positives_ + anomalies_);
  }
  /// Once all groups are taken: the area under the ROC curve.
  double area() const { return wins_ / (normals_ * anomalies_); }
  /// Once all groups are taken.
  double average_precision() const { return precision_sum_ / anomalies_; }

 private:
  double normals_, anomalies_;
  double true_positives_ = 0, false_positives_ = 0, wins_ = 0, precision_sum_ = 0;
};

}  // namespace nagl
