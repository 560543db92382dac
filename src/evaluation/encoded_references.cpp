#include "encoded_references.h"

#include <optional>

#include "nagl/core/error.h"
#include "nagl/detection/query.h"
#include "nagl/image/mask.h"

namespace nagl {

EncodedReferences::EncodedReferences(const PictureEncoder& encoder, const BankOptions& options,
                                     const TrainedHead* head, const Category& category,
                                     const std::optional<std::filesystem::path>& roi)
    : encoder_(encoder),
      options_(options),
      head_(head),
      category_(category),
      roi_path_(encoder.options().tiling.tile == 0 ? roi : std::nullopt),
      waiting_(encoder, [](const at::Tensor& features,
                           std::vector<std::pair<Picture*, std::size_t>>& views) {
        for (std::size_t i = 0; i < views.size(); ++i) {
          auto& [picture, view] = views[i];
          picture->views[view].features = features[static_cast<std::int64_t>(i)];
        }
      }) {}

EncodedReferences::Picture& EncodedReferences::load(const Sample& sample) {
  auto [place, is_new] = pictures_.try_emplace(sample.path);
  Picture& picture = place->second;
  if (!is_new) return picture;
  const Image image = encoder_.read(sample.path);
  remarks_.insert(remarks_.end(), image.remarks.begin(), image.remarks.end());
  picture.tiles = encoder_.tiles_of(image.rgb).count();
  const CountedPatches& counted = counted_in(image);
  std::vector<cv::Mat> parts;
  if (sample.anomalous()) {
    const Mask mask = read_masks_for(image, sample.masks);
    remarks_.insert(remarks_.end(), mask.remarks.begin(), mask.remarks.end());
    auto views = defect_views(encoder_, image.rgb, mask.marks, uses_surroundings(options_.method));
    counted.restrict(views);
    for (const auto& view : views) {
      picture.views.push_back({view.tile, 0, view.patch_mask, view.clear, {}});
      parts.push_back(image.rgb(view.area));
    }
  } else {
    for_each_view(encoder_, image.rgb, options_.turns,
                  [&](const ReferenceView& view, const cv::Mat& rgb) {
                    picture.views.push_back({view.tile, view.turn, {}, {}, {}});
                    parts.push_back(rgb);
                  });
  }
  for (std::size_t i = 0; i < parts.size(); ++i) {
    waiting_.add(encoder_.pixels(parts[i]), {&picture, i});
  }
  return picture;
}

const CountedPatches& EncodedReferences::counted_in(const Image& image) {
  if (!counted_) {
    if (roi_path_) roi_ = read_mask_for(image, *roi_path_).marks;
    counted_.emplace(encoder_, roi_, options_.turns);
  }
  check_roi(image, roi_);
  return *counted_;
}

bool EncodedReferences::is_usable(const Sample& sample) {
  const bool usable = !load(sample).views.empty();
  if (!usable) pictures_.erase(sample.path);
  return usable;
}

void EncodedReferences::encode(const std::vector<ReferenceDraw>& draws) {
  const auto add = [&](const std::filesystem::path& path) {
    const Sample& sample = sample_at(category_, path);
    if (!load(sample).views.empty()) return;
    throw DataError("the mask '" + sample.masks.front().string() + "' of the reference '" +
                    path.string() + "' marks nothing " +
                    (roi_.empty() ? "at the network's size" : "inside the region of interest"));
  };
  for (const auto& draw : draws) {
    for (const auto& path : draw.normal) add(path);
    for (const auto& [type, paths] : draw.abnormal) {
      for (const auto& path : paths) add(path);
    }
  }
  waiting_.flush();
}

ReferenceAssembler EncodedReferences::assembler(std::int64_t turns) const {
  BankOptions options = options_;
  options.turns = turns;
  const Backbone& backbone = encoder_.backbone();
  return ReferenceAssembler(options, backbone.width(), backbone.device(),
                            counted_ ? counted_->inside(0) : at::Tensor());
}

const ReferenceFeatures& EncodedReferences::normal_features(const Paths& paths,
                                                            std::int64_t turns) {
  auto [place, is_new] = normal_features_.try_emplace({paths, turns});
  if (!is_new) return place->second;
  ReferenceAssembler normal = assembler(turns);
  for (const auto& path : paths) {
    const std::int64_t index = normal.begin_normal();
    for (const auto& view : pictures_.at(path).views) {
      if (turns == 1 && view.turn > 0) continue;
      const at::Tensor rows = counted_->rows(view.features, view.turn);
      if (rows.size(0) > 0) normal.add_normal(index, rows, view.turn > 0);
    }
  }
  return place->second = normal.take();
}

std::shared_ptr<const ReferenceBank> EncodedReferences::bank(const Paths& normal,
                                                             const Paths& abnormal,
                                                             std::int64_t turns, bool with_head) {
  auto& bank = banks_[{normal, abnormal, turns, with_head}];
  if (bank) return bank;
  ReferenceFeatures features = normal_features(normal, turns);
  if (!abnormal.empty()) {
    ReferenceAssembler known = assembler(turns);
    for (const auto& path : abnormal) {
      const auto& views = pictures_.at(path).views;
      known.begin_abnormal(static_cast<std::int64_t>(views.size()));
      for (const auto& view : views) {
        known.add_abnormal(view.features, view.patch_mask, view.clear, MaskOrigin::kDrawn);
      }
    }
    features = features.with_abnormal_of(known.take());
  }
  std::optional<DiscriminantOptions> discriminant;
  if (uses_surroundings(options_.method)) discriminant = options_.discriminant;
  bank = std::make_shared<const ReferenceBank>(
      std::move(features), with_head ? head_->head : NaglHead(nullptr), encoder_.grid(),
      encoder_.backbone().precision(), discriminant);
  return bank;
}

EncodedReferences::Paths EncodedReferences::paths() const {
  Paths paths;
  for (const auto& [path, picture] : pictures_) paths.push_back(path);
  return paths;
}

std::vector<at::Tensor> EncodedReferences::features_by_tile(
    const std::filesystem::path& path) const {
  const auto found = pictures_.find(path);
  if (found == pictures_.end()) return {};
  std::vector<at::Tensor> features(found->second.tiles);
  for (const auto& view : found->second.views) {
    if (view.turn == 0) features[view.tile] = view.features;
  }
  return features;
}

}  // namespace nagl
