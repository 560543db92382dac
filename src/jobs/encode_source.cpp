#include "nagl/jobs/encode_source.h"

#include <fmt/format.h>

#include "nagl/core/atomic_file.h"
#include "nagl/core/error.h"
#include "nagl/core/options.h"
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
                                       const PictureEncoder& encoder, const JobObserver& observer) {
  constexpr const char *kChecking = "looking through the feature store", *kEncoding = "encoding";
  const auto total = static_cast<std::int64_t>(pictures.size());
  std::vector<std::string> keys;
  std::vector<std::size_t> missing;
  observer.advance(kChecking, 0, total);
  for (std::size_t i = 0; i < pictures.size(); ++i) {
    if (observer.stopped()) return {};
    keys.push_back(store.key_of(pictures[i]));
    if (!store.check(keys.back())) missing.push_back(i);
    observer.advance(kChecking, static_cast<std::int64_t>(i) + 1, total);
  }
  const double megabytes = static_cast<double>(missing.size() * store.entry_bytes()) / 1e6;
  observer.info(fmt::format("feature store {}: {} of {} pictures to encode, {:.1f} MB",
                            store.folder().string(), missing.size(), pictures.size(), megabytes));
  if (missing.empty()) return keys;
  check_room(store, missing.size());

  struct Waiting {
    std::size_t picture;
    PictureMasks masks;
  };
  const auto wanted = static_cast<std::int64_t>(missing.size());
  std::int64_t done = 0;
  observer.advance(kEncoding, done, wanted);
  const c10::InferenceMode guard;
  ViewBatches<Waiting> batches(
      encoder, [&](const at::Tensor& features, std::vector<Waiting>& waiting) {
        const at::Tensor rows = features.to(at::kCPU);
        for (std::size_t i = 0; i < waiting.size(); ++i) {
          const auto& [picture, masks] = waiting[i];
          store.put(keys[picture], pictures[picture], rows[static_cast<std::int64_t>(i)], masks);
        }
        done += static_cast<std::int64_t>(waiting.size());
        observer.advance(kEncoding, done, wanted);
      });
  RemarkLog remarks(observer);
  auto reader = encoder.read_ahead<Loaded>(
      missing.size(), [&](std::size_t i) { return load(pictures[missing[i]], encoder); });
  for (const auto picture : missing) {
    if (observer.stopped()) return {};
    Loaded loaded = reader.next();
    remarks.see(loaded.remarks);
    batches.add(encoder.pixels(loaded.image.rgb), {picture, std::move(loaded.masks)});
  }
  batches.flush();
  remarks.finish();
  return keys;
}

}  // namespace nagl::jobs
