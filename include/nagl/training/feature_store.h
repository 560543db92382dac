#pragma once

#include <torch/torch.h>

#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "nagl/core/enum_names.h"
#include "nagl/core/json.h"
#include "nagl/model/backbone.h"
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

  std::int64_t height() const { return grid.rows * patch; }
  std::int64_t image_width() const { return grid.columns * patch; }
};

/// A picture as the network takes it.
struct NetworkInput {
  at::Tensor pixels;        ///< [3, H, W] float32, normalised
  at::Tensor network_mask;  ///< [H, W] uint8, 0 or 1; undefined for a good picture
  at::Tensor patch_mask;    ///< [N] bool; undefined for a good picture
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
           const NetworkInput& input);

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

/// What a build tells while it goes on; any may be empty.
struct StoreBuildObserver {
  /// Once all entries were looked at: how many have to be encoded, and the bytes that takes.
  std::function<void(std::int64_t missing, std::uint64_t bytes)> forecast;
  std::function<void(std::int64_t done, std::int64_t total)> checked;
  std::function<void(std::int64_t done, std::int64_t total)> encoded;
  /// Asked after each batch; true ends the build, which can go on later.
  std::function<bool()> stop;
};

/// Brings all pictures into the store: what is there and undamaged is kept, the rest is encoded,
/// `batch_size` pictures at a time.
/// @param load reads a picture for the network; may throw DataError
/// @return their keys, in the order of `pictures`; empty if it was stopped
/// @throws DataError if the disk has less room than the forecast, or a picture cannot be read
std::vector<std::string> build_feature_store(
    FeatureStore& store, const std::vector<SourcePicture>& pictures, const Backbone& backbone,
    std::int64_t batch_size, const std::function<NetworkInput(const SourcePicture&)>& load,
    const StoreBuildObserver& observer = {});

}  // namespace nagl
