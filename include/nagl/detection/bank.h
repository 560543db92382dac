#pragma once

#include <cstdint>
#include <filesystem>
#include <opencv2/core/mat.hpp>
#include <optional>
#include <string>
#include <vector>

#include "nagl/detection/bank_options.h"
#include "nagl/detection/calibration.h"
#include "nagl/image/image.h"
#include "nagl/image/thumbnail.h"
#include "nagl/model/method.h"
#include "nagl/model/reference_bank.h"
#include "nagl/model/trained_head.h"

namespace nagl {

/// A picture that a bank was made from.
struct EnrolledPicture {
  std::string path;      ///< where it was read from; empty for one made in memory
  std::string checksum;  ///< SHA-256 of its size and pixels
  std::string modified;  ///< when its file was written last, UTC, ISO 8601; empty: not known
  std::int64_t width = 0, height = 0;  ///< in pixels, upright; 0: enrolled by nagl 0.1
  Thumbnail thumbnail;  ///< tells copies that were saved again; in a file, with the tensors

  template <typename Self, typename Visit>
  static void fields(Self& self, Visit&& visit) {
    visit("path", self.path);
    visit("checksum", self.checksum);
    visit("modified", self.modified);
    visit("width", self.width);
    visit("height", self.height);
  }
};

/// What somebody said of a picture that was scored.
struct Decision {
  std::string path;
  std::string checksum;  ///< as in EnrolledPicture
  bool anomalous = false;
  bool learnt = false;  ///< it came into the bank for it

  template <typename Self, typename Visit>
  static void fields(Self& self, Visit&& visit) {
    visit("path", self.path);
    visit("checksum", self.checksum);
    visit("anomalous", self.anomalous);
    visit("learnt", self.learnt);
  }
};

/// What recognises a picture, whatever its file: SHA-256 of its size and pixels.
std::string checksum_of(const Image& image);

/// What a bank keeps of a picture: where it is, and what recognises it.
EnrolledPicture enrolled(const Image& image);

/// All that scoring needs beside the backbone. One file holds it. A value: a copy on another device
/// leaves this one where it is.
struct Bank {
  BankOptions options;
  HeadOrigin origin;                ///< the backbone and layer that its features are of
  std::optional<TrainedHead> head;  ///< RM and AFL, for methods that use a head
  ReferenceFeatures features;
  /// In the order of `features`; the first good one has no name where it stands for several
  /// (`ReferenceFeatures::merged`).
  std::vector<EnrolledPicture> normal, abnormal;
  /// Where to look in all pictures, uint8 [H, W], above 0 inside; empty: everywhere. References
  /// have no rows outside. Not of a bank of tiles, which lie anywhere.
  cv::Mat roi;
  /// [P, N] float32: patch scores of up to 16 normal pictures (or tiles of them), each with itself
  /// left out, a lone one mirrored: what good pictures look like. Outside the region of interest
  /// the lowest inside. Undefined without normal ones.
  at::Tensor probe_scores;
  std::optional<Calibration> calibration;  ///< thresholds of raw scores
  std::vector<Decision> decisions;         ///< by which a change is judged; the oldest first

  /// Good pictures that it was made from.
  std::int64_t normal_count() const {
    const auto entries = static_cast<std::int64_t>(normal.size());
    return features.merged > 0 ? entries - 1 + features.merged : entries;
  }

  /// What its method comes down to with the references that it has.
  Method scored_by() const { return effective(options.method, features.abnormal_count() > 0); }
  /// Whether its scores go by a defect whose mask was drawn.
  bool knows_defect() const {
    return scored_by() == Method::kDiscriminant && features.drawn_count() > 0;
  }
  /// What values its scores take before anybody sees them.
  ScoreRange score_range() const { return range_of(scored_by()); }
  /// The calibration with thresholds of scores as users see them.
  std::optional<Calibration> shown_calibration() const;

  /// The same with its tensors on `device`; what is there already is shared.
  Bank on(at::Device device) const;
};

/// Throws ModelError unless the bank's features are of this backbone, its layer and width.
void check_origin(const Bank& bank, const Backbone& backbone);

/// The index of the picture with that checksum, if it is there.
std::optional<std::int64_t> find_picture(const std::vector<EnrolledPicture>& pictures,
                                         const std::string& checksum);

/// The indices of the pictures that are the same shot as `picture`: by checksum, or near copies.
std::vector<std::int64_t> same_shots(const std::vector<EnrolledPicture>& pictures,
                                     const EnrolledPicture& picture);

/// Indices of a bank's pictures.
struct PictureIndices {
  std::vector<std::int64_t> normal, abnormal;

  bool empty() const { return normal.empty() && abnormal.empty(); }
};

/// Those of a bank's pictures that are the same shot as `picture`: of the good ones by checksum or
/// as near copies, of defects by checksum.
PictureIndices same_shots(const Bank& bank, const EnrolledPicture& picture);

/// The bank without some of its pictures, to score these by. What good pictures look like, and the
/// calibration, stay those of the whole.
Bank leaving_out(const Bank& bank, const PictureIndices& pictures);

/// A bank as the bytes of a safetensors file.
/// @param backbone whose features it holds; its checksum is noted
std::string bank_bytes(const Bank& bank, const Backbone& backbone);

/// Writes them, atomically. @throws DataError naming the file if it cannot be written
void save_bank(const std::filesystem::path& path, const Bank& bank, const Backbone& backbone);

/// Reads what `save_bank` wrote, onto `device`.
/// @throws ModelError naming the file if it is no bank, damaged, or of another preprocessing
Bank load_bank(const std::filesystem::path& path, at::Device device);

}  // namespace nagl
