#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "nagl/core/options.h"
#include "nagl/dataset/dataset.h"
#include "nagl/image/preprocess.h"
#include "nagl/training/trainer.h"
#include "runtime_options.h"

namespace nagl::apps {

/// How pictures of the source enter the network.
struct PictureOptions {
  std::string image_size = kDefaultImageSize;  ///< `N` or `HxW` in pixels, multiples of 14
  std::int64_t bit_depth = 16;                 ///< bits a sample of 16-bit files really holds
  MaskAlignment mask_alignment =
      MaskAlignment::kAligned;  ///< `published` repeats a shift of theirs

  template <typename Self, typename Visit>
  static void fields(Self& self, Visit&& visit) {
    visit("image_size", self.image_size);
    visit("bit_depth", self.bit_depth);
    visit("mask_alignment", self.mask_alignment);
  }
};

/// All options of a training, as `--config` and `--set` name them and the run folder keeps them.
struct TrainOptions {
  std::vector<std::filesystem::path> data;  ///< data sets, or categories of them: the source
  DatasetFormat format = DatasetFormat::kAuto;
  std::optional<std::int64_t> layer;          ///< block of the backbone; null: the file's own word
  std::string precision = kDefaultPrecision;  ///< of the backbone
  PictureOptions pictures;
  FeatureStoreOptions store;
  NaglHeadOptions head;
  EpisodeOptions episodes;
  TrainerOptions trainer;
  ValidationOptions validation;

  /// Throws ConfigError on a value out of range.
  void check() const {
    if (data.empty()) throw ConfigError("no source to train on; give --data");
    head.check();
    episodes.check();
    trainer.check();
    validation.check();
  }

  template <typename Self, typename Visit>
  static void fields(Self& self, Visit&& visit) {
    visit("data", self.data);
    visit("format", self.format);
    visit("layer", self.layer);
    visit("precision", self.precision);
    visit("pictures", self.pictures);
    visit("store", self.store);
    visit("head", self.head);
    visit("episodes", self.episodes);
    visit("trainer", self.trainer);
    visit("validation", self.validation);
  }
};

}  // namespace nagl::apps
