#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "nagl/detection/query.h"
#include "nagl/evaluation/results.h"
#include "nagl/metrics/pixel_metrics.h"
#include "query_reader.h"

namespace nagl {

/// Counts what one method scores with one set of references, in memory that does not grow with the
/// number of pictures (beyond a score each).
class Tally {
 public:
  explicit Tally(Method method) : method_(method) {}

  Method method() const { return method_; }
  /// @param name of the picture, for results
  void add(const ReadQuery& query, const std::filesystem::path& name, const PictureScores& scores);

  /// A good picture to choose the threshold by.
  void add_validation(const PictureScores& scores);
  /// Mean and three deviations of the pixels of these; null without any.
  std::optional<double> pixel_cut() const;

  /// Fills in what was measured. The tally is empty then.
  /// @param pro_limit largest false-positive rate that PRO looks at
  void measure(EvaluationRow& row, double pro_limit);

 private:
  void measure_parts(EvaluationRow& row) const;

  Method method_;
  PixelMetrics pixels_;
  std::int64_t masked_pictures_ = 0;  ///< that have pixel truth and a defect
  std::vector<ScoredQuery> queries_;
  /// What several pictures show, and the highest score of these, by part.
  struct Part {
    std::int64_t pictures = 0;
    bool anomalous = false;
    double score = 0;
  };
  std::map<std::string, Part> parts_;
  double pixels_counted_ = 0, sum_ = 0, squares_ = 0;  ///< of good validation pictures
};

}  // namespace nagl
