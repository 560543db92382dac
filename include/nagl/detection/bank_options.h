#pragma once

#include <cstddef>
#include <optional>

#include "nagl/encoding/encoding_options.h"
#include "nagl/model/method.h"
#include "nagl/model/standardised_score.h"

namespace nagl {

/// How references become a bank, and pictures scores. References and queries are treated alike, so
/// a bank keeps these.
struct BankOptions {
  Method method = Method::kAuto;
  EncodingOptions encoding;
  std::int64_t turns = 1;     ///< 1, 4 or 8: each normal reference is enrolled at so many angles
  double coreset = 1;         ///< share of the normal patches that a bank keeps, above 0, at most 1
  std::int64_t max_size = 0;  ///< bytes that a bank's file may take; 0: as many as it needs
  DiscriminantOptions discriminant;  ///< for Method::kDiscriminant
  /// Share of the patches whose mean is the image score, above 0, at most 1; null: the method's.
  std::optional<double> top_share;

  /// Throws ConfigError on a value out of range.
  void check() const;

  template <typename Self, typename Visit>
  static void fields(Self& self, Visit&& visit) {
    visit("method", self.method);
    visit("encoding", self.encoding);
    visit("turns", self.turns);
    visit("coreset", self.coreset);
    visit("max_size", self.max_size);
    visit("discriminant", self.discriminant);
    visit("top_share", self.top_share);
  }
};

/// The turns that pay where nobody says anything: 4 for `auto` with up to so many good pictures
/// (docs/methods.md has the figures), else 1. More pictures show more angles of their own, and each
/// takes its time.
inline constexpr std::size_t kTurnedPictures = 16;
std::int64_t automatic_turns(Method method, std::size_t normal_pictures);

}  // namespace nagl
