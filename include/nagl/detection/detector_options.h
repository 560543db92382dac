#pragma once

#include "nagl/image/image.h"
#include "nagl/image/preprocess.h"
#include "nagl/image/tiling.h"
#include "nagl/model/reference_bank.h"

namespace nagl {

/// How pictures become scores. References and queries are treated alike, so a bank keeps these.
struct DetectorOptions {
  Method method = Method::kNormalNn;
  ImageSize image_size;  ///< pictures (or tiles) are resized to this, whatever their proportions
  MaskAlignment mask_alignment = MaskAlignment::kAligned;
  DecodeOptions decode;
  TilingOptions tiling;
  std::int64_t turns = 1;  ///< 1, 4 or 8: each normal reference is enrolled at so many angles
  double coreset = 1;      ///< share of the normal patches that a bank keeps, above 0, at most 1

  /// Throws ConfigError on a value out of range.
  void check() const;

  template <typename Self, typename Visit>
  static void fields(Self& self, Visit&& visit) {
    visit("method", self.method);
    visit("image_size", self.image_size);
    visit("mask_alignment", self.mask_alignment);
    visit("decode", self.decode);
    visit("tiling", self.tiling);
    visit("turns", self.turns);
    visit("coreset", self.coreset);
  }
};

}  // namespace nagl
