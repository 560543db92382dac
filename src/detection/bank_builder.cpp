#include "nagl/detection/bank_builder.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <opencv2/core.hpp>
#include <opencv2/imgproc.hpp>
#include <utility>

#include "nagl/core/error.h"
#include "nagl/image/alteration.h"
#include "nagl/image/tiling.h"
#include "nagl/nn/coreset.h"

namespace nagl {
namespace {

constexpr std::size_t kMostProbes = 16;

/// `count` of 0..total-1, or all of them, spread evenly.
std::vector<std::size_t> spread(std::size_t total, std::size_t count) {
  std::vector<std::size_t> chosen;
  const std::size_t used = std::min(total, count);
  for (std::size_t i = 0; i < used; ++i) chosen.push_back(i * total / used);
  return chosen;
}

/// Whether tile `index` of `total` is one of those that stand for their picture.
bool stands_for_picture(std::size_t index, std::size_t total) {
  const auto chosen = spread(total, kMostProbes);
  return std::binary_search(chosen.begin(), chosen.end(), index);
}

std::int64_t rows_kept(std::int64_t patches, double coreset) {
  return std::max<std::int64_t>(
      1, static_cast<std::int64_t>(std::ceil(coreset * static_cast<double>(patches) - 1e-9)));
}

EnrolledPicture enrolled(const Image& image) {
  std::error_code error;  // a path that stays true in another working directory
  const auto path = image.path.empty() ? image.path : std::filesystem::absolute(image.path, error);
  return {path.string(), checksum_of(image)};
}

cv::Mat tile_of(const cv::Mat& picture, const cv::Rect& tile) { return picture(tile); }

}  // namespace

void BankBuilder::Rows::append(const at::Tensor& rows) {
  const std::int64_t wanted = size_ + rows.size(0);
  if (!rows_.defined() || rows_.size(0) < wanted) {
    std::vector<std::int64_t> shape = {std::max(wanted, size_ + size_ / 2), rows.size(1)};
    at::Tensor larger = at::empty(shape, rows.options());
    if (size_ > 0) larger.slice(0, 0, size_).copy_(all());
    rows_ = larger;
  }
  rows_.slice(0, size_, wanted).copy_(rows);
  size_ = wanted;
}

BankBuilder::BankBuilder(std::shared_ptr<const Backbone> backbone, const DetectorOptions& options,
                         std::optional<TrainedHead> head, std::int64_t batch_size)
    : BankBuilder(
          backbone,
          [&] {
            Bank bank;
            bank.options = options;
            bank.head = std::move(head);
            bank.origin = {backbone->name(), "", backbone->layer(), backbone->width()};
            if (bank.head) {
              const HeadOrigin origin = origin_of(*backbone);
              bank.head->origin.check_equals(origin, bank.head->path);
              bank.origin = origin;
            }
            return bank;
          }(),
          batch_size) {}

BankBuilder::BankBuilder(std::shared_ptr<const Backbone> backbone, Bank bank,
                         std::int64_t batch_size)
    : backbone_(std::move(backbone)), batch_size_(batch_size), bank_(std::move(bank)) {
  const c10::InferenceMode guard;
  bank_.options.check();
  const ImageSize size = bank_.options.image_size;
  backbone_->check_image_size(size.height, size.width);
  grid_ = {size.height / backbone_->patch(), size.width / backbone_->patch()};
  if (!bank_.origin.backbone_checksum.empty()) {
    bank_.origin.check_equals(origin_of(*backbone_), "bank");
  }
  normal_.append(
      at::empty({0, backbone_->width()}, at::TensorOptions().device(backbone_->device())));
  const at::Device device = backbone_->device();
  if (bank_.head) bank_.head->head->to(device);
  if (bank_.features.normal.defined()) normal_.append(bank_.features.normal.to(device));
  if (bank_.features.abnormal.defined()) {
    abnormal_.append(bank_.features.abnormal.to(device));
    patch_masks_.push_back(bank_.features.patch_mask.to(device));
  }
}

bool BankBuilder::holds_normal(const Image& image) const {
  return find_picture(bank_.normal, checksum_of(image)).has_value();
}

bool BankBuilder::holds_abnormal(const Image& image) const {
  return find_picture(bank_.abnormal, checksum_of(image)).has_value();
}

void BankBuilder::add_normal(const Image& image) {
  const c10::InferenceMode guard;
  check_picture(image.rgb);  // before anything changes
  const ImageSize size = bank_.options.image_size;
  const TileGrid tiles = cut_into_tiles(image.rgb.size(), bank_.options.tiling);
  const bool first = bank_.normal.empty();
  changed_ = true;
  mirrored_.clear();
  bank_.normal.push_back(enrolled(image));
  bank_.features.normal_rows.push_back(0);
  for (std::int64_t turn = 0; turn < bank_.options.turns; ++turn) {
    Alteration turned;
    turned.degrees = 360.0 * static_cast<double>(turn) / static_cast<double>(bank_.options.turns);
    const cv::Mat rgb = altered(image.rgb, turned);
    for (std::size_t i = 0; i < tiles.count(); ++i) {
      View view;
      view.pixels = preprocess({tile_of(rgb, tiles.at(i)), {}, false}, size);
      view.probe = turn == 0 && stands_for_picture(i, tiles.count());
      add_view(std::move(view));
    }
  }
  if (!first || !uses_normal(bank_.options.method)) return;
  cv::Mat mirror;
  cv::flip(image.rgb, mirror, /*around the vertical axis*/ 1);
  for (const auto i : spread(tiles.count(), kMostProbes)) {
    mirrored_.push_back(preprocess({tile_of(mirror, tiles.at(i)), {}, false}, size));
  }
}

void BankBuilder::add_abnormal(const Image& image, const cv::Mat& mask,
                               const std::filesystem::path& mask_path) {
  const c10::InferenceMode guard;
  check_picture(image.rgb);
  const ImageSize size = bank_.options.image_size;
  const TileGrid tiles = cut_into_tiles(image.rgb.size(), bank_.options.tiling);
  cv::Mat marks = mask;
  if (tiles.count() > 1 && mask.size() != image.rgb.size()) {
    cv::resize(mask, marks, image.rgb.size(), 0, 0, cv::INTER_NEAREST);
  }
  std::vector<View> views;
  for (std::size_t i = 0; i < tiles.count(); ++i) {
    const cv::Mat own = tiles.count() > 1 ? tile_of(marks, tiles.at(i)) : marks;
    View view;
    view.patch_mask =
        mask_to_patches(resize_mask(own, size), backbone_->patch(), bank_.options.mask_alignment);
    if (!view.patch_mask.any().item<bool>()) continue;
    view.pixels = preprocess({tile_of(image.rgb, tiles.at(i)), {}, false}, size);
    views.push_back(std::move(view));
  }
  if (views.empty()) {
    throw DataError(fmt::format(
        "the mask '{}' of '{}' marks nothing at the network's size; draw the defect, or leave the "
        "picture out",
        mask_path.string(), image.path.string()));
  }
  changed_ = true;
  bank_.abnormal.push_back(enrolled(image));
  bank_.features.abnormal_views.push_back(static_cast<std::int64_t>(views.size()));
  for (auto& view : views) add_view(std::move(view));
}

void BankBuilder::add_view(View view) {
  const bool normal = !view.patch_mask.defined();
  owners_.push_back(normal ? static_cast<std::int64_t>(bank_.normal.size()) - 1 : -1);
  waiting_.push_back(std::move(view));
  if (static_cast<std::int64_t>(waiting_.size()) >= batch_size_) flush();
}

void BankBuilder::flush() {
  if (waiting_.empty()) return;
  std::vector<at::Tensor> pixels;
  for (const auto& view : waiting_) pixels.push_back(view.pixels);
  const at::Tensor features = backbone_->encode(at::stack(pixels));
  if (!at::isfinite(features).all().item<bool>()) {
    throw ModelError(fmt::format(
        "the backbone '{}' gives features that are not finite; try --precision float32, or fetch "
        "it again",
        backbone_->path().string()));
  }
  const bool thinned = bank_.options.coreset < 1;
  for (std::size_t i = 0; i < waiting_.size(); ++i) {
    const View& view = waiting_[i];
    const at::Tensor own = features[static_cast<std::int64_t>(i)];
    if (view.patch_mask.defined()) {
      const at::Tensor mask = view.patch_mask.to(own.device());
      abnormal_.append(own.index({mask}));
      patch_masks_.push_back(mask.unsqueeze(0));
      continue;
    }
    at::Tensor rows = own;
    if (thinned) {
      const auto chosen =
          choose_coreset(own, normal_.all(), rows_kept(own.size(0), bank_.options.coreset));
      rows = own.index_select(0, chosen.to(own.device()));
      if (view.probe) keep_probe(owners_[i], own);
    }
    normal_.append(rows);
    bank_.features.normal_rows[static_cast<std::size_t>(owners_[i])] += rows.size(0);
  }
  waiting_.clear();
  owners_.clear();
}

void BankBuilder::keep_probe(std::int64_t picture, const at::Tensor& features) {
  if (probes_seen_++ % probe_stride_ != 0) return;
  kept_probes_.push_back({picture, features.clone()});
  if (kept_probes_.size() < 2 * kMostProbes) return;
  for (std::size_t i = 0; i < kMostProbes; ++i) kept_probes_[i] = kept_probes_[2 * i];
  kept_probes_.resize(kMostProbes);
  probe_stride_ *= 2;
}

std::vector<BankBuilder::Probe> BankBuilder::probes() const {
  std::vector<Probe> all;
  if (bank_.options.coreset < 1) {
    all = kept_probes_;
  } else {
    const std::int64_t patches = grid_.size();
    for (std::int64_t i = 0; i < bank_.features.normal_count(); ++i) {
      const at::Tensor rows = bank_.features.normal_picture(i);
      const auto tiles = static_cast<std::size_t>(rows.size(0) / patches / bank_.options.turns);
      for (const auto tile : spread(tiles, kMostProbes)) {
        const std::int64_t begin = static_cast<std::int64_t>(tile) * patches;
        all.push_back({i, rows.slice(0, begin, begin + patches)});
      }
    }
  }
  std::vector<Probe> chosen;
  for (const auto i : spread(all.size(), kMostProbes)) chosen.push_back(all[i]);
  return chosen;
}

at::Tensor BankBuilder::score_probes() const {
  const Method method = bank_.options.method;
  const ReferenceBank references(bank_.features, bank_.head ? bank_.head->head : NaglHead(nullptr),
                                 grid_);
  references.check(method);
  std::vector<at::Tensor> scores;
  if (!uses_normal(method) || references.normal_count() > 1) {
    for (const auto& [picture, features] : probes()) {
      scores.push_back(references.score_left_out(features.unsqueeze(0), picture, method));
    }
  }
  for (const auto& pixels : mirrored_) {
    scores.push_back(references.score(backbone_->encode(pixels.unsqueeze(0)), method));
  }
  // The rows of a thinned bank do not tell how its earlier pictures scored; that was kept.
  const bool earlier = bank_.options.coreset < 1 && bank_.probe_scores.defined();
  if (earlier) {
    for (const auto& row : bank_.probe_scores.split(1)) scores.push_back(row);
  }
  std::vector<at::Tensor> chosen;
  for (const auto i : spread(scores.size(), kMostProbes)) chosen.push_back(scores[i].to(at::kCPU));
  return chosen.empty() ? at::Tensor() : at::cat(chosen);
}

Bank BankBuilder::normal_part() {
  const c10::InferenceMode guard;
  flush();
  Bank part;
  part.options = bank_.options;
  part.options.method = Method::kNormalNn;
  part.origin = {backbone_->name(), "", backbone_->layer(), backbone_->width()};
  part.features.normal = normal_.all();
  part.features.normal_rows = bank_.features.normal_rows;
  part.normal = bank_.normal;
  return part;
}

Bank BankBuilder::finish() {
  const c10::InferenceMode guard;
  flush();
  bank_.features.normal = normal_.all();
  if (abnormal_.size() > 0) {
    bank_.features.abnormal = abnormal_.all();
    bank_.features.patch_mask = at::cat(patch_masks_);
  }
  normal_ = abnormal_ = Rows();
  if (changed_) {
    bank_.calibration.reset();
    const at::Tensor scores = score_probes();
    if (scores.defined()) bank_.probe_scores = scores;  // else no good picture came
  }
  return std::move(bank_);
}

void add_pictures(BankBuilder& builder, const ReferencePaths& references,
                  const ReferenceListener& listener) {
  const auto read = [&](const std::filesystem::path& path) {
    Image image = read_image(path, builder.options().decode);
    if (listener.seen) listener.seen(image);
    return image;
  };
  for (const auto& path : references.normal) builder.add_normal(read(path));
  std::optional<Detector> by_good_pictures;
  for (const auto& [picture, masks] : references.abnormal) {
    const Image image = read(picture);
    if (!masks.empty()) {
      builder.add_abnormal(image, read_masks_for(image, masks), masks.front());
      continue;
    }
    if (!by_good_pictures) by_good_pictures.emplace(builder.backbone(), builder.normal_part());
    const DerivedMask derived = derive_mask(*by_good_pictures, image);
    if (listener.derived) listener.derived(image, derived);
    builder.add_abnormal(image, derived.mask);
  }
}

Bank make_bank(const std::shared_ptr<const Backbone>& backbone, const ReferencePaths& references,
               const DetectorOptions& options, std::optional<TrainedHead> head,
               std::int64_t batch_size, const ReferenceListener& listener) {
  BankBuilder builder(backbone, options, std::move(head), batch_size);
  add_pictures(builder, references, listener);
  return builder.finish();
}

std::int64_t expected_rows(cv::Size picture, const DetectorOptions& options, std::int64_t patch) {
  const std::int64_t patches =
      options.image_size.height / patch * (options.image_size.width / patch);
  const auto tiles = static_cast<std::int64_t>(cut_into_tiles(picture, options.tiling).count());
  return tiles * options.turns * rows_kept(patches, options.coreset);
}

}  // namespace nagl
