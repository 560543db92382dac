#pragma once

#include <cstdint>

#include "nagl/core/enum_names.h"
#include "nagl/nn/score_range.h"

namespace nagl {

/// How patches are scored. The first four are the paper's ablation (docs/design.md, 3.7).
enum class Method {
  kNormalNn,      ///< distance to the nearest normal patch: (1 - c_n) / 2
  kAbnormalNn,    ///< similarity to the nearest known defect patch: (1 + c_a) / 2
  kBothNn,        ///< both: (2 + c_a - c_n) / 4
  kNagl,          ///< both, with c_a the mean cosine to the anomaly proxies of RM and AFL
  kDiscriminant,  ///< standardised distance to the nearest good patch, and the linear discriminant
                  ///< of the known defects (docs/design.md, 3.17)
  kNaglStandardised,  ///< the same with the cosine to NAGL's anomaly proxies, standardised too, in
                      ///< the place of the discriminant
  kAuto,              ///< kDiscriminant with pictures of defects, else kNormalNn
};
constexpr auto names_of(Method) {
  return EnumNames<Method, 7>{"method",
                              {{{Method::kAuto, "auto"},
                                {Method::kDiscriminant, "discriminant"},
                                {Method::kNormalNn, "normal_nn"},
                                {Method::kAbnormalNn, "abnormal_nn"},
                                {Method::kBothNn, "both_nn"},
                                {Method::kNagl, "nagl"},
                                {Method::kNaglStandardised, "nagl_standardised"}}}};
}

/// Whether a method looks at normal, or at abnormal, references.
bool uses_normal(Method method);
bool uses_abnormal(Method method);
/// Whether it cannot do without abnormal ones.
bool needs_abnormal(Method method);
/// Whether it needs a trained head.
bool uses_head(Method method);
/// Whether it looks at the good patches of pictures of defects.
bool uses_surroundings(Method method);
/// What `method` comes down to: both forms of NAGL, and `auto`, are normal_nn without pictures of
/// defects.
Method effective(Method method, bool has_abnormal);

/// What its scores take. @param method an effective one
ScoreRange range_of(Method method);
/// Share of the patches whose mean is the image score, unless somebody says otherwise: 1 % as
/// published, 0.5 % for methods with standardised distances and `auto` (docs/methods.md has the
/// figures).
double top_share_of(Method method);

}  // namespace nagl
