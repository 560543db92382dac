#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "nagl/core/enum_names.h"
#include "nagl/core/json.h"
#include "nagl/core/torch.h"
#include "nagl/model/weights.h"
#include "nagl/nn/position_encoding.h"
#include "nagl/training/source.h"

namespace nagl {

/// Type of stored features.
enum class StoreType { kFloat16, kFloat32 };
constexpr auto names_of(StoreType) {
  return EnumNames<StoreType, 2>{
      "store type", {{{StoreType::kFloat16, "float16"}, {StoreType::kFloat32, "float32"}}}};
}

/// How features are stored.
struct FeatureStoreOptions {
  StoreType type = StoreType::kFloat16;  ///< half the disk and memory traffic of float32

  template <typename Self, typename Visit>
  static void fields(Self& self, Visit&& visit) {
    visit("type", self.type);
  }
};

/// What all entries of a store have in common.
struct FeatureFormat {
  PatchGrid grid;
  std::int64_t width = 384;  ///< channels C
  std::int64_t patch = 14;   ///< pixels; pictures are grid.rows * patch high at the network
  StoreType type = StoreType::kFloat16;
  /// All that features depend on beside the picture: backbone checksum, layer, precision,
  /// preprocessing version, ... Part of every key.
  Json recipe = Json::object();
  /// The encoder's options as it has them. No part of keys.
  Json encoding = Json::object();

  std::int64_t height() const { return grid.rows * patch; }
  std::int64_t image_width() const { return grid.columns * patch; }
};

/// Where the defect of a picture is; undefined for a good one.
struct PictureMasks {
  at::Tensor network;  ///< [H, W] uint8, 0 or 1, at the network's size
  at::Tensor patches;  ///< [N] bool
};

/// An entry of the store, mapped from its file: tensors that must not be written to.
struct StoredPicture {
  at::Tensor features;     ///< [N, C] float16 or float32
  at::Tensor patch_mask;   ///< [N] bool; undefined for a good picture
  at::Tensor packed_mask;  ///< [(H * W + 7) / 8] uint8; undefined for a good picture
};

/// Patch features and masks of pictures on disk, so that training encodes each picture once. One
/// safetensors file a picture, named by a key: the SHA-256 of the picture's and the mask's content,
/// the label and the format. Files appear whole, carry a checksum, and are memory-mapped when read,
/// so memory grows with the store by no more than some 300 bytes a picture. Several runs may share
/// a folder.
class FeatureStore {
 public:
  FeatureStore(std::filesystem::path folder, FeatureFormat format);

  /// Reads the picture and its mask. @throws DataError if one cannot be read
  std::string key_of(const SourcePicture& picture) const;

  /// Whether the entry is there, of this format and undamaged; reads all of it, and remembers where
  /// its tensors lie.
  bool check(const std::string& key);

  /// Writes an entry, atomically. @param features [N, C] on any device, of any floating type
  /// @throws DataError if it cannot be written, ModelError if a feature is not finite in the
  ///         stored type
  void put(const std::string& key, const SourcePicture& picture, const at::Tensor& features,
           const PictureMasks& masks);

  /// An entry that was checked or put. Thread-safe as long as nothing is checked or put.
  /// @throws DataError naming the file if it has gone or changed its size
  StoredPicture get(const std::string& key) const;
  /// The mask of an entry at the network's size. @return [H, W] uint8, 0 or 1
  at::Tensor network_mask(const StoredPicture& picture) const;

  /// An upper bound of what an entry takes on disk.
  std::uint64_t entry_bytes() const;
  std::filesystem::path path_of(const std::string& key) const;
  const std::filesystem::path& folder() const { return folder_; }
  const FeatureFormat& format() const { return format_; }

 private:
  /// Where an entry's tensors begin in its file; 0: it has no masks.
  struct Layout {
    std::uint64_t file_size = 0, features = 0, patch_mask = 0, network_mask = 0;
  };
  Layout layout_of(const WeightsFile& file) const;

  std::filesystem::path folder_;
  FeatureFormat format_;
  std::map<std::string, Layout> entries_;
};

}  // namespace nagl
