#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "nagl/core/torch.h"
#include "nagl/training/episode_loader.h"
#include "nagl/training/feature_store.h"
#include "support.h"

namespace nagl::testing {

/// A source domain whose features are made up and put straight into a store: no picture is ever
/// read. Patches form a grid of 4 x 4, have 8 channels, and are 4 x 4 pixels.
class StoredSource {
 public:
  static constexpr std::int64_t kWidth = 8, kPatch = 4;
  static constexpr PatchGrid kGrid{4, 4};

  explicit StoredSource(StoreType type = StoreType::kFloat32)
      : store_(folder_ / "features", {kGrid, kWidth, kPatch, type, {}, {}}) {}

  /// @param defect empty: a good picture
  /// @param features [16, 8]
  /// @param patch_mask [16] bool, of an anomalous picture
  void add(const std::string& category, const std::string& defect, const at::Tensor& features,
           const at::Tensor& patch_mask = {}) {
    const std::string number = std::to_string(pictures_.size());
    pictures_.push_back({category, defect, category + "/" + number + ".png", {}});
    keys_.push_back("key" + number);
    PictureMasks masks;
    if (patch_mask.defined()) {
      masks.patches = patch_mask;
      masks.network = patch_mask.reshape({kGrid.rows, kGrid.columns})
                          .repeat_interleave(kPatch, 0)
                          .repeat_interleave(kPatch, 1)
                          .to(at::kByte);
    }
    store_.put(keys_.back(), pictures_.back(), features, masks);
  }

  /// `categories` of 6 good pictures and of 4 of each of the defect types `crack` and `stain`.
  /// Patches of a category differ a little; those of a defect, two rows of each picture, point
  /// another way.
  void add_products(std::int64_t categories) {
    const auto random = at::make_generator<at::CPUGeneratorImpl>(1);
    const auto defects = torch::randn({2, kWidth}, random) * 2;
    for (std::int64_t c = 0; c < categories; ++c) {
      const std::string name = "product" + std::to_string(c);
      const auto usual = torch::randn({kWidth}, random) * 2;
      const auto patches = [&] { return usual + torch::randn({kGrid.size(), kWidth}, random); };
      for (int i = 0; i < 6; ++i) add(name, "", patches());
      for (std::int64_t type = 0; type < 2; ++type) {
        for (std::int64_t i = 0; i < 4; ++i) {
          auto mask = at::zeros({kGrid.rows, kGrid.columns}, at::kBool);
          mask.slice(0, i % 3, i % 3 + 2).fill_(true);
          mask = mask.flatten();
          add(name, type == 0 ? "crack" : "stain",
              at::where(mask.unsqueeze(1), patches() + defects[type], patches()), mask);
        }
      }
    }
  }

  EpisodeLoader loader(std::uint64_t cache_bytes = 1 << 20) const {
    return {store_, pictures_, keys_, ResidualMetric::kDot, cache_bytes, at::kCPU};
  }

  /// All pictures, or those of one category.
  std::vector<CategoryPictures> categories(const std::string& only = "") const {
    std::vector<std::int64_t> indices;
    for (std::size_t i = 0; i < pictures_.size(); ++i) {
      if (only.empty() || pictures_[i].category == only) {
        indices.push_back(static_cast<std::int64_t>(i));
      }
    }
    return group_pictures(pictures_, indices);
  }

  const std::vector<SourcePicture>& pictures() const { return pictures_; }

 private:
  TemporaryFolder folder_;
  FeatureStore store_;
  std::vector<SourcePicture> pictures_;
  std::vector<std::string> keys_;
};

/// A head that fits a StoredSource.
inline NaglHeadOptions small_head() {
  NaglHeadOptions options;
  options.width = StoredSource::kWidth;
  options.heads = 2;
  options.proxies = 3;
  return options;
}

}  // namespace nagl::testing
