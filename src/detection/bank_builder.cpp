#include "nagl/detection/bank_builder.h"

#include <fmt/format.h>

#include <utility>

#include "bank_size.h"
#include "nagl/core/error.h"
#include "nagl/detection/detector.h"
#include "probe_scores.h"

namespace nagl {
namespace {

/// An empty bank of that backbone.
Bank begun(const Backbone& backbone, const BankOptions& options, std::optional<TrainedHead> head,
           cv::Mat roi) {
  if (!roi.empty() && options.encoding.tiling.tile > 0) {
    throw ConfigError(
        "a bank of tiles, which lie anywhere, has no region of interest; give --roi with the "
        "pictures to score");
  }
  Bank bank;
  bank.roi = std::move(roi);
  bank.options = options;
  bank.origin = origin_without_checksum(backbone);
  if (head) {
    bank.origin = origin_of(backbone);
    head->origin.check_equals(bank.origin, head->path);
    bank.head = std::move(head);
  }
  bank.features.normal = at::empty({0, backbone.width()});
  return bank;
}

/// What belongs to a view that waits to be encoded.
struct WaitingView {
  std::int64_t normal = -1;  ///< index of its good picture; -1: it shows a defect
  std::int64_t turn = 0;
  std::size_t tile = 0, tiles = 1;
  at::Tensor kept = {};                    ///< [N] bool, of a good picture not all of which counts
  at::Tensor patch_mask = {}, clear = {};  ///< [N] bool, of one of a picture of a defect
  MaskOrigin origin = MaskOrigin::kDrawn;
};

/// The mask of a picture, from memory or its files.
Mask mask_of(const BankPictures& pictures, const Image& image,
             const std::vector<std::filesystem::path>& files) {
  const auto found = pictures.masks.find(files.front());
  if (found == pictures.masks.end()) return read_masks_for(image, files);
  const auto& [name, marks] = *found;
  if (!same_proportions(marks.size(), image.rgb.size())) {
    throw DataError(fmt::format(
        "the mask '{}' is {}x{}, but its picture '{}' is {}x{}; give one of the picture's size",
        name.string(), marks.cols, marks.rows, image.path.string(), image.rgb.cols,
        image.rgb.rows));
  }
  return {marks, {}};
}

}  // namespace

struct BankBuilder::State {
  State(const std::shared_ptr<const Backbone>& backbone, Bank given, std::int64_t batch_size)
      : encoder(backbone, given.options.encoding, batch_size),
        bank(std::move(given)),
        counted(encoder, bank.roi, bank.options.turns),
        assembler(bank.options, with_counted(bank.features), backbone->device()),
        probes(/*keep=*/true),
        waiting(encoder, [this](const at::Tensor& features, std::vector<WaitingView>& views) {
          take(features, views);
        }) {
    bank.options.check();
    bank.options.encoding = encoder.options();
    range = bank.score_range();
    if (bank.head) bank.head = bank.head->on(backbone->device());
    if (bank.options.max_size > 0) {
      bank.features.normal = at::empty({0, backbone->width()});
      budget = budget_of(bank, encoder.grid().size());
      most_bytes = assembler.row_bytes();
    }
    bank.features = {};
  }

  /// An empty bank with a region of interest learns which patches count.
  ReferenceFeatures with_counted(ReferenceFeatures features) const {
    if (!features.counted.defined()) features.counted = counted.inside(0);
    return features;
  }

  void take(const at::Tensor& features, const std::vector<WaitingView>& views) {
    if (!at::isfinite(features).all().item<bool>()) {
      throw ModelError(fmt::format(
          "the backbone '{}' gives features that are not finite; try --precision float32, or fetch "
          "it again",
          encoder.backbone().path().string()));
    }
    for (std::size_t i = 0; i < views.size(); ++i) {
      const WaitingView& view = views[i];
      const at::Tensor own = features[static_cast<std::int64_t>(i)];
      if (view.normal < 0) {
        assembler.add_abnormal(own, view.patch_mask, view.clear, view.origin);
        continue;
      }
      const at::Tensor rows = counted.rows(own, view.turn);
      const bool partly = view.kept.defined();
      const at::Tensor kept = partly ? counted.rows(view.kept, view.turn) : at::Tensor();
      if (rows.size(0) > 0) assembler.add_normal(view.normal, rows, view.turn > 0, kept);
      if (view.turn == 0 && !partly) probes.see(view.normal, view.tile, view.tiles, own);
    }
  }

  /// Before the next picture comes: all that are there, within the bank's size. What waits for its
  /// batch is encoded only where it may be too much.
  /// @param views of the next picture
  void make_room(std::size_t views) {
    if (!budget) return;
    const std::int64_t patches = encoder.grid().size();
    most_bytes +=
        row_bytes_of(static_cast<std::int64_t>(last_views) * patches,
                     static_cast<std::int64_t>(last_views) * patches, encoder.backbone().width(),
                     static_cast<std::int64_t>(last_views), patches);
    last_views = views;
    if (most_bytes <= budget->row_bytes) return;
    keep_within_budget();
  }

  void keep_within_budget() {
    waiting.flush();
    assembler.keep_within(budget->row_bytes);
    most_bytes = assembler.row_bytes();
    constexpr std::int64_t kSpare = 64;  // moments take memory, merging them time
    if (static_cast<std::int64_t>(bank.normal.size()) <= budget->pictures + kSpare) return;
    bank.features = assembler.take();
    probes.forget(merge_oldest(bank, *budget));
    assembler = ReferenceAssembler(bank.options, bank.features, encoder.backbone().device());
    bank.features = {};
  }

  PictureEncoder encoder;
  std::optional<BankBudget> budget;  ///< null: it may be of any size
  std::int64_t most_bytes = 0;       ///< that rows may take, those that wait among them
  std::size_t last_views = 0;        ///< of the latest picture, not among them
  Bank bank;                         ///< its features are with the assembler
  CountedPatches counted;
  ReferenceAssembler assembler;
  ProbeCollector probes;
  ViewBatches<WaitingView> waiting;
  ScoreRange range = ScoreRange::kUnit;  ///< of the scores that `bank.probe_scores` are
  bool changed = false;
};

BankBuilder::BankBuilder(std::shared_ptr<const Backbone> backbone, const BankOptions& options,
                         std::optional<TrainedHead> head, std::int64_t batch_size, cv::Mat roi)
    : BankBuilder(backbone, begun(*backbone, options, std::move(head), std::move(roi)),
                  batch_size) {}

BankBuilder::BankBuilder(std::shared_ptr<const Backbone> backbone, Bank bank,
                         std::int64_t batch_size) {
  const c10::InferenceMode guard;
  check_origin(bank, *backbone);
  state_ = std::make_unique<State>(backbone, std::move(bank), batch_size);
}

BankBuilder::~BankBuilder() = default;
BankBuilder::BankBuilder(BankBuilder&&) noexcept = default;
BankBuilder& BankBuilder::operator=(BankBuilder&&) noexcept = default;

const PictureEncoder& BankBuilder::encoder() const { return state_->encoder; }
const BankOptions& BankBuilder::options() const { return state_->bank.options; }

std::optional<KnownShot> BankBuilder::same_shot(const Image& image) const {
  const EnrolledPicture picture = enrolled(image);
  std::optional<KnownShot> found;
  for (const auto index : same_shots(state_->bank.normal, picture)) {
    const EnrolledPicture& known = state_->bank.normal[static_cast<std::size_t>(index)];
    const bool exact = known.checksum == picture.checksum;
    if (exact || !found) found = KnownShot{known.path, exact};
    if (exact) break;
  }
  return found;
}

bool BankBuilder::holds_abnormal(const Image& image) const {
  return find_picture(state_->bank.abnormal, checksum_of(image)).has_value();
}

void BankBuilder::add_normal(const Image& image, const std::vector<at::Tensor>& kept) {
  const c10::InferenceMode guard;
  check_picture(image.rgb);  // before anything changes
  check_roi(image, state_->bank.roi);
  State& state = *state_;
  const bool first = state.bank.normal.empty();
  const std::size_t tiles = state.encoder.tiles_of(image.rgb).count();
  const std::int64_t turns = kept.empty() ? state.bank.options.turns : 1;
  state.make_room(tiles * static_cast<std::size_t>(turns));
  if (!kept.empty()) state.waiting.flush();  // from now on the bank is thinned
  state.changed = true;
  state.bank.normal.push_back(enrolled(image));
  state.probes.begin_picture(state.encoder, image.rgb,
                             first && uses_normal(state.bank.options.method));
  const std::int64_t index = state.assembler.begin_normal();
  for_each_view(state.encoder, image.rgb, turns,
                [&](const ReferenceView& view, const cv::Mat& rgb) {
                  WaitingView waiting{index, view.turn, view.tile, tiles};
                  if (!kept.empty()) waiting.kept = kept.at(view.tile);
                  state.waiting.add(state.encoder.pixels(rgb), std::move(waiting));
                });
  if (!kept.empty()) state.waiting.flush();  // before the next picture begins
}

void BankBuilder::add_abnormal(const Image& image, const cv::Mat& mask,
                               const std::filesystem::path& mask_path, MaskOrigin origin) {
  const c10::InferenceMode guard;
  check_picture(image.rgb);
  State& state = *state_;
  check_roi(image, state.bank.roi);
  auto views =
      defect_views(state.encoder, image.rgb, mask, uses_surroundings(state.bank.options.method));
  state.counted.restrict(views);
  if (views.empty()) {
    throw DataError(fmt::format(
        "the mask '{}' of '{}' marks nothing {}; draw the defect, or leave the picture out",
        mask_path.string(), image.path.string(),
        state.bank.roi.empty() ? "at the network's size" : "inside the region of interest"));
  }
  state.make_room(views.size());
  state.changed = true;
  state.bank.abnormal.push_back(enrolled(image));
  state.assembler.begin_abnormal(static_cast<std::int64_t>(views.size()));
  for (const auto& tile : views) {
    WaitingView view;
    view.patch_mask = tile.patch_mask;
    view.clear = tile.clear;
    view.origin = origin;
    state.waiting.add(state.encoder.pixels(image.rgb(tile.area)), std::move(view));
  }
}

Bank BankBuilder::normal_part() {
  const c10::InferenceMode guard;
  State& state = *state_;
  state.waiting.flush();
  const ReferenceFeatures all = state.assembler.features();
  Bank part;
  part.options = state.bank.options;
  part.options.method = Method::kNormalNn;
  const Backbone& backbone = state.encoder.backbone();
  part.origin = origin_without_checksum(backbone);
  part.features.normal = all.normal;
  part.features.normal_rows = all.normal_rows;
  part.features.counted = all.counted;
  part.features.normal_novelty = all.normal_novelty;
  part.features.merged = all.merged;
  part.features.turns = all.turns;
  part.features.thinned = all.thinned;
  part.roi = state.bank.roi;
  part.normal = state.bank.normal;
  return part;
}

Bank BankBuilder::finish() {
  const c10::InferenceMode guard;
  State& state = *state_;
  state.waiting.flush();
  if (state.budget && state.changed) state.keep_within_budget();
  Bank bank = std::move(state.bank);
  bank.features = state.assembler.take();
  if (!state.changed) return bank;
  bank.calibration.reset();
  // A first defect may change what scores are.
  if (bank.score_range() != state.range) bank.probe_scores = at::Tensor();
  const at::Tensor scores = state.probes.score(state.encoder, bank, bank.probe_scores);
  if (scores.defined()) bank.probe_scores = scores;  // else no good picture came
  if (state.budget) merge_oldest(bank, *state.budget);
  return bank;
}

Image read_picture(const BankPictures& pictures, const std::filesystem::path& name,
                   const DecodeOptions& decode) {
  const auto image = pictures.images.find(name);
  return image != pictures.images.end() ? image->second : read_image(name, decode);
}

void add_pictures(BankBuilder& builder, const BankPictures& pictures,
                  const BankObserver& observer) {
  const auto total = pictures.normal.size() + pictures.abnormal.size();
  auto reader = builder.encoder().read_ahead<Image>(total, [&](std::size_t i) {
    return read_picture(pictures,
                        i < pictures.normal.size()
                            ? pictures.normal[i]
                            : pictures.abnormal[i - pictures.normal.size()].picture,
                        builder.encoder().options().decode);
  });
  const auto next = [&] {
    Image image = reader.next();
    if (observer.seen) observer.seen(image);
    return image;
  };
  for (std::size_t i = 0; i < pictures.normal.size(); ++i) {
    const Image image = next();
    const auto known = builder.same_shot(image);
    if (known && known->exact) {
      if (observer.copied) observer.copied(image, known->path);
      continue;
    }
    if (known && observer.nearly_copied) observer.nearly_copied(image, known->path);
    builder.add_normal(image);
  }
  std::optional<Detector> by_good_pictures;
  for (const auto& [picture, masks] : pictures.abnormal) {
    const Image image = next();
    if (!masks.empty()) {
      const Mask mask = mask_of(pictures, image, masks);
      if (observer.masked) observer.masked(mask);
      builder.add_abnormal(image, mask.marks, masks.front());
      continue;
    }
    if (!by_good_pictures) {
      by_good_pictures.emplace(builder.encoder().shared_backbone(), builder.normal_part(),
                               builder.encoder().batch_size());
    }
    const DerivedMask derived = derive_mask(*by_good_pictures, image);
    if (observer.derived) observer.derived(image, derived);
    builder.add_abnormal(image, derived.mask, {}, MaskOrigin::kDerived);
  }
}

Bank make_bank(const std::shared_ptr<const Backbone>& backbone, const BankPictures& pictures,
               const BankOptions& options, std::optional<TrainedHead> head, std::int64_t batch_size,
               const BankObserver& observer) {
  BankBuilder builder(backbone, options, std::move(head), batch_size, pictures.roi);
  add_pictures(builder, pictures, observer);
  return builder.finish();
}

}  // namespace nagl
