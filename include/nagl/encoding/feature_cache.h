#pragma once

#include <filesystem>
#include <string>

#include "nagl/core/torch.h"

namespace nagl {

/// Patch features of views in a folder, by what was encoded: the checksum of a view's pixels,
/// within a folder of the backbone, layer and precision. A file a view; they appear whole, and what
/// is damaged counts as absent. Several processes may share it.
class FeatureCache {
 public:
  /// @param kind of backbone, layer and precision, in any words
  FeatureCache(const std::filesystem::path& folder, const std::string& kind);

  /// @param pixels [3, h, w] float32 @return the file of its features, there or not
  std::filesystem::path file_of(const at::Tensor& pixels) const;
  /// @return [N, C] float32 on the CPU; undefined where they are not there
  at::Tensor find(const std::filesystem::path& file) const;
  /// @param features [N, C] @throws DataError naming the file if it cannot be written
  void put(const std::filesystem::path& file, const at::Tensor& features) const;

 private:
  std::filesystem::path folder_;
};

}  // namespace nagl
