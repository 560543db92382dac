#include "nagl/encoding/feature_cache.h"

#include "nagl/core/error.h"
#include "nagl/core/sha256.h"
#include "nagl/model/weights.h"

namespace nagl {
namespace {

namespace fs = std::filesystem;

constexpr const char *kFeatures = "features", *kChecksum = "checksum";

std::string checksum_of_features(const at::Tensor& features) {
  return checksum_of({{kFeatures, features}});
}

}  // namespace

FeatureCache::FeatureCache(const fs::path& folder, const std::string& kind) {
  constexpr std::size_t kDigits = 16;
  Sha256 sum;
  sum.update(kind);
  folder_ = folder / sum.hex().substr(0, kDigits);
}

fs::path FeatureCache::file_of(const at::Tensor& pixels) const {
  const at::Tensor bytes = pixels.to(at::kCPU).contiguous();
  Sha256 sum;
  sum.update({static_cast<const char*>(bytes.const_data_ptr()), bytes.nbytes()});
  const std::string name = sum.hex();
  return folder_ / name.substr(0, 2) / (name + ".safetensors");
}

at::Tensor FeatureCache::find(const fs::path& file) const {
  std::error_code error;
  if (!fs::exists(file, error)) return {};
  try {
    const WeightsFile stored(file);
    const at::Tensor features = stored.read(kFeatures);
    return stored.text(kChecksum) == checksum_of_features(features) ? features : at::Tensor();
  } catch (const Error&) {
    return {};
  }
}

void FeatureCache::put(const fs::path& file, const at::Tensor& features) const {
  const at::Tensor stored = features.to(at::kCPU).contiguous();
  write_weights(file, {{kFeatures, stored}}, {{kChecksum, checksum_of_features(stored)}},
                /*flush=*/false);
}

}  // namespace nagl
