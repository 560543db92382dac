#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <vector>

#include "nagl/detection/bank.h"
#include "nagl/detection/bank_options.h"

namespace nagl::jobs {

/// What was asked of an encoding, where anything was; the rest is as the default, the bank or the
/// options file at hand says.
struct EncodingRequest {
  std::optional<std::int64_t> layer;
  std::optional<Precision> precision;
  std::optional<ImageSize> image_size;
  std::optional<int> bit_depth;
  std::optional<std::int64_t> max_pixels;  ///< of a picture that is read
  std::optional<std::int64_t> tile;
  std::optional<double> overlap;

  /// `options` with what was asked for in place.
  EncodingOptions over(EncodingOptions options) const;
};

/// What was asked of how references become scores, where anything was.
struct ReferenceRequest {
  std::optional<std::int64_t> turns;
  bool automatic_turns = false;  ///< those of the method, whatever an options file says
  std::optional<double> coreset;
  std::optional<std::int64_t> max_size;   ///< of a bank's file, in bytes
  std::optional<double> abnormal_weight;  ///< of the discriminant
  std::optional<bool> surroundings;       ///< whether they join the good patches
  std::optional<double> top_share;

  /// `options` with what was asked for in place.
  BankOptions over(BankOptions options) const;
};

/// What was asked of a bank, where anything was.
struct BankRequest {
  EncodingRequest encoding;
  ReferenceRequest references;
  std::optional<Method> method;
  std::filesystem::path model;  ///< trained head, for methods that use one

  /// `options` with what was asked for in place. @throws ConfigError on values out of range
  BankOptions over(BankOptions options = {}) const;

  /// Throws ModelError if something was asked that the bank was not made with.
  void check_agrees(const std::filesystem::path& bank_path, const Bank& bank) const;
};

/// Pictures that a bank is to be made of, by files and folders.
struct PictureSelection {
  std::vector<std::filesystem::path> normal, abnormal;
  std::filesystem::path masks;  ///< of the abnormal ones; empty: they are derived
  std::size_t normal_shots = 0, abnormal_shots = 0;  ///< use the first so many; 0: all

  bool empty() const {
    return normal.empty() && abnormal.empty() && masks.empty() && normal_shots == 0 &&
           abnormal_shots == 0;
  }
};

}  // namespace nagl::jobs
