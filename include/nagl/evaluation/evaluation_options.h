#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "nagl/core/options.h"
#include "nagl/evaluation/protocol.h"
#include "nagl/model/method.h"

namespace nagl {

/// What an evaluation does; all combinations of methods, shots and seeds are scored.
struct EvaluationOptions {
  Protocol protocol = Protocol::kStrict;
  std::vector<Method> methods = {Method::kNormalNn};
  std::vector<std::int64_t> normal_shots = {1};    ///< K1
  std::vector<std::int64_t> abnormal_shots = {1};  ///< K2; kOneOfEach: one of each defect type
  std::int64_t seeds = 3;                          ///< 0, 1, ..., seeds - 1
  /// 1, 4 or 8: each normal reference is there at so many angles; null: `automatic_turns` of each
  /// method.
  std::optional<std::int64_t> turns = {};
  double pro_limit = 0.3;     ///< largest false-positive rate that PRO looks at
  std::int64_t examples = 4;  ///< overlays of each kind a category; 0: none

  /// The angles of normal references for a method.
  std::int64_t turns_of(Method method, std::int64_t shots) const;

  /// Throws ConfigError on a value out of range.
  void check() const;

  template <typename Self, typename Visit>
  static void fields(Self& self, Visit&& visit) {
    visit("protocol", self.protocol);
    visit("methods", self.methods);
    visit("normal_shots", self.normal_shots);
    visit("abnormal_shots", self.abnormal_shots);
    visit("seeds", self.seeds);
    visit("turns", self.turns);
    visit("pro_limit", self.pro_limit);
    visit("examples", self.examples);
  }
};

}  // namespace nagl
