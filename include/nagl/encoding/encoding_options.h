#pragma once

#include <cstdint>
#include <optional>

#include "nagl/core/device.h"
#include "nagl/core/options.h"
#include "nagl/image/image.h"
#include "nagl/image/preprocess.h"
#include "nagl/image/tiling.h"

namespace nagl {

/// All that patch features depend on beside the picture and the backbone's weights. Banks, feature
/// stores, runs and results hold it as it is, so that two of them can be compared.
struct EncodingOptions {
  std::optional<std::int64_t> layer;  ///< block whose features are taken; null: the backbone's word
  Precision precision = Precision::kFloat32;  ///< of the backbone's weights and activations
  ImageSize image_size;  ///< pictures (or tiles) are resized to this, whatever their proportions
  DecodeOptions decode;  ///< how samples of a file become bytes
  TilingOptions tiling;  ///< how large pictures are cut
  MaskAlignment mask_alignment = MaskAlignment::kAligned;  ///< how a mask marks patches

  /// Throws ConfigError on a value out of range.
  void check() const;
  bool operator==(const EncodingOptions&) const = default;

  template <typename Self, typename Visit>
  static void fields(Self& self, Visit&& visit) {
    visit("layer", self.layer);
    visit("precision", self.precision);
    visit("image_size", self.image_size);
    visit("decode", self.decode);
    visit("tiling", self.tiling);
    visit("mask_alignment", self.mask_alignment);
  }
};

}  // namespace nagl
