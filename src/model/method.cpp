#include "nagl/model/method.h"

#include "nagl/nn/image_score.h"

namespace nagl {
namespace {

constexpr double kSmallTopShare = 0.005;

}  // namespace

bool uses_normal(Method method) { return method != Method::kAbnormalNn; }
bool uses_abnormal(Method method) { return method != Method::kNormalNn; }
bool needs_abnormal(Method method) {
  return uses_abnormal(method) && effective(method, false) == method;
}
bool uses_head(Method method) {
  return method == Method::kNagl || method == Method::kNaglStandardised;
}
bool uses_surroundings(Method method) {
  return range_of(method) == ScoreRange::kUnbounded || method == Method::kAuto;
}

Method effective(Method method, bool has_abnormal) {
  if (method == Method::kAuto) return has_abnormal ? Method::kDiscriminant : Method::kNormalNn;
  return uses_head(method) && !has_abnormal ? Method::kNormalNn : method;
}

ScoreRange range_of(Method method) {
  const bool standardised = method == Method::kDiscriminant || method == Method::kNaglStandardised;
  return standardised ? ScoreRange::kUnbounded : ScoreRange::kUnit;
}

double top_share_of(Method method) {
  return uses_surroundings(method) ? kSmallTopShare : kPublishedTopShare;
}

}  // namespace nagl
