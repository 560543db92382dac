#pragma once

#include <cstdint>
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

  /// Fills in what was measured. The tally is empty then.
  /// @param pro_limit largest false-positive rate that PRO looks at
  void measure(EvaluationRow& row, double pro_limit);

 private:
  Method method_;
  PixelMetrics pixels_;
  std::int64_t masked_pictures_ = 0;  ///< that have pixel truth and a defect
  std::vector<ScoredQuery> queries_;
};

}  // namespace nagl
