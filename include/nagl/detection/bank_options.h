#pragma once

#include "nagl/encoding/encoding_options.h"
#include "nagl/model/reference_bank.h"

namespace nagl {

/// How references become a bank, and pictures scores. References and queries are treated alike, so
/// a bank keeps these.
struct BankOptions {
  Method method = Method::kNormalNn;
  EncodingOptions encoding;
  std::int64_t turns = 1;  ///< 1, 4 or 8: each normal reference is enrolled at so many angles
  double coreset = 1;      ///< share of the normal patches that a bank keeps, above 0, at most 1

  /// Throws ConfigError on a value out of range.
  void check() const;

  template <typename Self, typename Visit>
  static void fields(Self& self, Visit&& visit) {
    visit("method", self.method);
    visit("encoding", self.encoding);
    visit("turns", self.turns);
    visit("coreset", self.coreset);
  }
};

}  // namespace nagl
