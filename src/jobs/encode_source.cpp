#include "nagl/jobs/encode_source.h"

#include <fmt/format.h>

#include <algorithm>

#include "nagl/core/atomic_file.h"
#include "nagl/core/error.h"
#include "nagl/core/options.h"
#include "nagl/core/text.h"
#include "nagl/image/mask.h"
#include "nagl/jobs/remark_log.h"
#include "nagl/model/trained_head.h"

namespace nagl::jobs {
namespace {

constexpr int kMaskVersion = 2;        // of how masks are read and mark patches
constexpr double kDiskReserve = 1.01;  // file systems round up

/// A picture on its way into the store.
struct Loaded {
  Image image;
  PictureMasks masks;
  std::vector<Remark> remarks;
};

Loaded load(const SourcePicture& picture, const PictureEncoder& encoder) {
  const c10::InferenceMode guard;
  Loaded loaded{encoder.read(picture.path), {}, {}};
  loaded.remarks = loaded.image.remarks;
  if (picture.masks.empty()) return loaded;
  Mask mask = read_masks_for(loaded.image, picture.masks);
  loaded.masks.network = resize_mask(mask.marks, encoder.options().image_size);
  loaded.masks.patches = encoder.patch_mask(mask.marks);
  loaded.remarks.insert(loaded.remarks.end(), mask.remarks.begin(), mask.remarks.end());
  return loaded;
}

/// @throws DataError if the store's disk has less room than so many entries take
void check_room(const FeatureStore& store, std::size_t entries) {
  const std::uint64_t bytes = entries * store.entry_bytes();
  make_folder(store.folder());
  std::error_code error;
  const auto space = std::filesystem::space(store.folder(), error);
  if (error || static_cast<double>(space.available) >= static_cast<double>(bytes) * kDiskReserve) {
    return;
  }
  throw DataError(fmt::format(
      "the features of {} pictures need {:.1f} MB in '{}', which has {:.1f} MB left; free some, "
      "or name another folder",
      entries, static_cast<double>(bytes) / 1e6, store.folder().string(),
      static_cast<double>(space.available) / 1e6));
}

/// One way of a source's pictures into the store.
class SourceEncoding {
 public:
  SourceEncoding(FeatureStore& store, const std::vector<SourcePicture>& pictures,
                 const PictureEncoder& encoder, const JobObserver& observer)
      : store_(store), pictures_(pictures), encoder_(encoder), observer_(observer) {}

  std::vector<std::string> run(const ShardRequest& sharding) {
    constexpr const char* kChecking = "looking through the feature store";
    const auto total = static_cast<std::int64_t>(pictures_.size());
    observer_.advance(kChecking, 0, total);
    for (const auto& picture : pictures_) {
      if (observer_.stopped()) return {};
      keys_.push_back(store_.key_of(picture));
      observer_.advance(kChecking, static_cast<std::int64_t>(keys_.size()), total);
    }
    if (sharding.shared() && !share(sharding)) return {};
    std::vector<std::size_t> missing;
    for (std::size_t i = 0; i < keys_.size(); ++i) {
      if (observer_.stopped()) return {};
      if (!store_.check(keys_[i])) missing.push_back(i);
      observer_.advance("checking the feature store", static_cast<std::int64_t>(i) + 1, total);
    }
    const double megabytes = static_cast<double>(missing.size() * store_.entry_bytes()) / 1e6;
    observer_.info(fmt::format("feature store {}: {} of {} pictures to encode, {:.1f} MB",
                               store_.folder().string(), missing.size(), pictures_.size(),
                               megabytes));
    if (missing.empty()) return keys_;
    return encode(missing) ? keys_ : std::vector<std::string>();
  }

 private:
  bool is_there(std::size_t i) const {
    std::error_code error;
    return std::filesystem::exists(store_.path_of(keys_[i]), error);
  }

  /// Encodes what is missing, together with other processes. What is damaged is found later.
  bool share(const ShardRequest& sharding) {
    constexpr std::size_t kPictures = 16;
    std::vector<std::string> units;
    for (std::size_t begin = 0; begin < keys_.size(); begin += kPictures) {
      units.push_back(fmt::format("{:08}", begin));
    }
    const auto missing_in = [&](const std::string& unit) {
      const auto begin = static_cast<std::size_t>(*whole_number(unit));
      std::vector<std::size_t> missing;
      for (std::size_t i = begin; i < std::min(begin + kPictures, keys_.size()); ++i) {
        if (!is_there(i)) missing.push_back(i);
      }
      return missing;
    };
    return SharedJob(store_.folder() / ".shards", sharding, observer_)
        .work(
            units, [&](const std::string& unit) { return missing_in(unit).empty(); },
            [&](const std::string& unit) { return encode(missing_in(unit)); });
  }

  /// @param wanted places of pictures @return false: it was stopped
  bool encode(const std::vector<std::size_t>& wanted) {
    constexpr const char* kEncoding = "encoding";
    check_room(store_, wanted.size());
    struct Waiting {
      std::size_t picture;
      PictureMasks masks;
    };
    const auto total = static_cast<std::int64_t>(wanted.size());
    std::int64_t done = 0;
    observer_.advance(kEncoding, done, total);
    const c10::InferenceMode guard;
    ViewBatches<Waiting> batches(encoder_, [&](const at::Tensor& features,
                                               std::vector<Waiting>& waiting) {
      const at::Tensor rows = features.to(at::kCPU);
      for (std::size_t i = 0; i < waiting.size(); ++i) {
        const auto& [picture, masks] = waiting[i];
        store_.put(keys_[picture], pictures_[picture], rows[static_cast<std::int64_t>(i)], masks);
      }
      done += static_cast<std::int64_t>(waiting.size());
      observer_.advance(kEncoding, done, total);
    });
    RemarkLog remarks(observer_);
    auto reader = encoder_.read_ahead<Loaded>(
        wanted.size(), [&](std::size_t i) { return load(pictures_[wanted[i]], encoder_); });
    for (const auto picture : wanted) {
      if (observer_.stopped()) return false;
      Loaded loaded = reader.next();
      remarks.see(loaded.remarks);
      batches.add(encoder_.pixels(loaded.image.rgb), {picture, std::move(loaded.masks)});
    }
    batches.flush();
    remarks.finish();
    return true;
  }

  FeatureStore& store_;
  const std::vector<SourcePicture>& pictures_;
  const PictureEncoder& encoder_;
  const JobObserver& observer_;
  std::vector<std::string> keys_;
};

}  // namespace

FeatureFormat store_format(const PictureEncoder& encoder, const FeatureStoreOptions& store) {
  const Backbone& backbone = encoder.backbone();
  const EncodingOptions& options = encoder.options();
  const HeadOrigin origin = origin_of(backbone);
  FeatureFormat format;
  format.patch = backbone.patch();
  format.grid = encoder.grid();
  format.width = backbone.width();
  format.type = store.type;
  format.recipe = {{"backbone", origin.backbone},
                   {"backbone_checksum", origin.backbone_checksum},
                   {"layer", backbone.layer()},
                   {"precision", to_string(backbone.precision())},
                   {"device", backbone.device().is_cpu() ? "cpu" : "cuda"},
                   {"preprocess_version", kPreprocessVersion},
                   {"bit_depth", options.decode.bit_depth},
                   {"mask_alignment", to_string(options.mask_alignment)},
                   {"mask_version", kMaskVersion}};
  format.encoding = option_to_json(options);
  return format;
}

std::vector<std::string> encode_source(FeatureStore& store,
                                       const std::vector<SourcePicture>& pictures,
                                       const PictureEncoder& encoder, const JobObserver& observer,
                                       const ShardRequest& sharding) {
  return SourceEncoding(store, pictures, encoder, observer).run(sharding);
}

}  // namespace nagl::jobs
