#include "nagl/jobs/bank_preparation.h"

#include <fmt/format.h>

#include <opencv2/core.hpp>
#include <set>

#include "nagl/core/device.h"
#include "nagl/core/error.h"
#include "nagl/core/file_part.h"
#include "nagl/dataset/pictures.h"
#include "nagl/image/mask.h"
#include "nagl/image/overlay.h"
#include "nagl/jobs/encoder_setup.h"

namespace nagl::jobs {
namespace {

namespace fs = std::filesystem;

fs::path mask_at(const fs::path& folder, const fs::path& place) {
  fs::path mask = folder / place;
  return mask += "_mask.png";
}

/// The mask, and the picture beside its heat map and the mask's outline.
/// @param written gets the paths
void write_derived(const DerivedMaskPlan& plan, const Image& image, const DerivedMask& derived,
                   std::vector<fs::path>& written) {
  const fs::path& place = plan.places.at(image.path);
  written.push_back(mask_at(plan.folder, place));
  write_png(written.back(), derived.mask);
  OverlayContent content;
  content.rgb = image.rgb;
  content.map = derived.map;
  content.scale = scale_of(derived.map);
  content.truth = derived.mask;
  content.caption = "derived mask: outlined on the right";
  fs::path check = plan.folder / "check" / place;
  written.push_back(check += "_check.png");
  write_png(written.back(), draw_overlay(content));
}

/// The trained head that the method needs. @throws ConfigError if it needs one and none is named,
/// or the other way round
std::optional<TrainedHead> load_model(const fs::path& model, Method method, at::Device device) {
  if (uses_head(method) == model.empty()) {
    throw ConfigError(
        model.empty() ? fmt::format("method {} needs --model, the model.safetensors of nagl train",
                                    to_string(method))
                      : "--model is for --method nagl and nagl_standardised");
  }
  if (model.empty()) return std::nullopt;
  return load_head(model, device);
}

/// What was asked of a bank of these pictures. Says what `auto` comes down to.
BankOptions options_for(const BankRequest& request, const BankPictures& pictures,
                        const JobObserver& observer) {
  BankOptions options = request.over();
  if (!request.references.turns) {
    options.turns = automatic_turns(options.method, pictures.normal.size());
  }
  if (const auto choice = explain_choice(options, pictures.normal.size(), pictures.abnormal.size());
      !choice.empty()) {
    observer.info("method auto: " + choice);
  }
  return options;
}

}  // namespace

void tell_masks_left_out(const std::vector<PictureFile>& masks, bool wanted,
                         const JobObserver& observer) {
  if (masks.empty()) return;
  observer.info(fmt::format(
      "{} by name and place, and not taken for pictures, e.g. '{}'{}",
      masks.size() == 1 ? "a file is a mask" : fmt::format("{} files are masks", masks.size()),
      masks.front().path.string(),
      wanted ? "; to use them, give their folder as --masks too" : ""));
}

BankPictures find_pictures(const PictureSelection& selection, Method method,
                           const JobObserver& observer) {
  BankPictures pictures;
  if (!selection.normal.empty()) {
    std::vector<PictureFile> masks;
    for (const auto& file : choose_references(selection.normal, selection.normal_shots, &masks)) {
      pictures.normal.push_back(file.path);
    }
    tell_masks_left_out(masks, false, observer);
  }
  const bool abnormal_given = !selection.abnormal.empty() || !selection.masks.empty();
  if (!uses_abnormal(method)) {
    if (!abnormal_given) return pictures;
    throw ConfigError(fmt::format(
        "method {} does not use --abnormal and --masks; leave --method out, or give another",
        to_string(method)));
  }
  if (!abnormal_given) return pictures;
  if (selection.abnormal.empty()) {
    throw ConfigError("--masks are those of pictures of defects; name them with --abnormal");
  }
  std::vector<PictureFile> masks;
  const auto files = choose_references(selection.abnormal, selection.abnormal_shots, &masks);
  tell_masks_left_out(masks, selection.masks.empty(), observer);
  if (!selection.masks.empty()) {
    pictures.abnormal = pair_with_masks(files, selection.masks);
  } else {
    for (const auto& file : files) pictures.abnormal.push_back({file.path, {}});
  }
  return pictures;
}

void check_pictures(const BankPictures& pictures, Method method, const JobObserver& observer) {
  if (!uses_abnormal(method) || !pictures.abnormal.empty()) return;
  if (needs_abnormal(method)) {
    throw ConfigError(
        fmt::format("method {} needs pictures of defects: give --abnormal", to_string(method)));
  }
  if (uses_head(method)) {
    observer.info(fmt::format("method {} without --abnormal is normal_nn", to_string(method)));
  }
}

cv::Mat read_roi(const fs::path& roi, const BankPictures& pictures, const DecodeOptions& decode) {
  if (roi.empty()) return {};
  std::error_code error;
  if (fs::is_directory(roi, error)) {
    throw ConfigError(fmt::format(
        "--roi '{}' is a folder; a bank looks at the same place in all pictures: name one mask",
        roi.string()));
  }
  Mask mask = read_mask_for(read_picture(pictures, pictures.normal.front(), decode), roi);
  if (cv::countNonZero(mask.marks) == 0) {
    throw DataError(
        fmt::format("the region of interest '{}' is empty; mark where to look with values above 0",
                    roi.string()));
  }
  return std::move(mask.marks);
}

std::string explain_choice(const BankOptions& options, std::size_t good, std::size_t defects) {
  if (options.method != Method::kAuto) return "";
  const std::string method =
      defects == 0   ? "normal_nn, since no picture of a defect is given (--abnormal)"
      : defects == 1 ? "discriminant, since a picture of a defect is given"
                     : fmt::format("discriminant, since {} pictures of defects are given", defects);
  if (options.turns > 1) {
    return fmt::format(
        "{}; good pictures at {} angles (where orientation is the defect, give "
        "--augment-references none)",
        method, options.turns);
  }
  return method +
         (good > kTurnedPictures ? "; good pictures as they lie, since they are many" : "");
}

BankBuilder start_bank(const BankRequest& request, const BankPictures& pictures,
                       const RuntimeOptions& runtime, const JobObserver& observer) {
  BankOptions options = options_for(request, pictures, observer);
  auto head = load_model(request.model, options.method, device_of(runtime));
  if (head && !options.encoding.layer) options.encoding.layer = head->origin.layer;
  const PictureEncoder encoder = make_encoder(runtime, options.encoding, observer);
  return BankBuilder(encoder.shared_backbone(), options, std::move(head), encoder.batch_size(),
                     pictures.roi);
}

BankBuilder start_bank(const BankRequest& request, const BankPictures& pictures,
                       const std::shared_ptr<const Backbone>& backbone, std::int64_t batch_size,
                       const JobObserver& observer) {
  const BankOptions options = options_for(request, pictures, observer);
  auto head = load_model(request.model, options.method, backbone->device());
  return BankBuilder(backbone, options, std::move(head), batch_size, pictures.roi);
}

PictureEncoder encoder_for(const fs::path& bank_path, Bank& bank, const BankRequest& request,
                           const RuntimeOptions& runtime, const JobObserver& observer) {
  request.check_agrees(bank_path, bank);
  EncodingOptions options = bank.options.encoding;
  options.layer = bank.origin.layer;
  options.precision = request.encoding.precision.value_or(EncodingOptions().precision);
  options.decode.max_pixels = request.encoding.max_pixels.value_or(DecodeOptions().max_pixels);
  device_of(runtime);  // what is wrong with it is no fault of the bank
  PictureEncoder encoder = [&] {
    try {
      return make_encoder(runtime, options, observer);
    } catch (const ConfigError& error) {
      // A backbone without the bank's layer, or of other patches.
      throw ModelError(fmt::format("bank '{}' belongs to {}: {}", bank_path.string(),
                                   bank.origin.backbone, error.what()));
    }
  }();
  bank.origin.check_equals(origin_of(encoder.backbone()), bank_path);
  bank.options.encoding.decode.max_pixels = options.decode.max_pixels;  // which no file keeps
  const Precision made = bank.options.encoding.precision, now = encoder.options().precision;
  if (made != now) {
    observer.info(fmt::format(
        "the bank '{}' was made in {} and is used in {}: scores differ in the third decimal from "
        "those that its thresholds were chosen by",
        bank_path.string(), to_string(made), to_string(now)));
  }
  return encoder;
}

PictureEncoder encoder_as_made(const fs::path& bank_path, Bank& bank, BankRequest request,
                               const RuntimeOptions& runtime, const JobObserver& observer) {
  if (!request.encoding.precision) request.encoding.precision = bank.options.encoding.precision;
  return encoder_for(bank_path, bank, request, runtime, observer);
}

DerivedMaskPlan plan_derived_masks(const PictureSelection& selection, const BankPictures& pictures,
                                   const fs::path& folder) {
  DerivedMaskPlan plan;
  const bool needed = !pictures.abnormal.empty() && pictures.abnormal.front().masks.empty();
  if (folder.empty() || !needed) return plan;
  plan.folder = folder;
  std::set<fs::path> taken, wanted;
  for (const auto& masked : pictures.abnormal) wanted.insert(masked.picture);
  for (const auto& file : choose_references(selection.abnormal, selection.abnormal_shots)) {
    if (!wanted.contains(file.path)) continue;
    const fs::path place = stem_of(file.relative());
    const fs::path mask = mask_at(folder, place);
    std::error_code error;
    if (fs::exists(mask, error)) {
      throw ConfigError(fmt::format(
          "the mask '{}' is there already; give its folder as --masks to use it, or remove it",
          mask.string()));
    }
    if (!taken.insert(place).second) {
      throw ConfigError(fmt::format(
          "two pictures of defects would have the derived mask '{}'; put them into one folder",
          mask.string()));
    }
    plan.places[file.path] = place;
  }
  return plan;
}

void add_to_bank(BankBuilder& builder, const BankPictures& pictures,
                 const DerivedMaskPlan& derived_masks, RemarkLog& remarks,
                 const JobObserver& observer) {
  const auto total = static_cast<std::int64_t>(pictures.normal.size() + pictures.abnormal.size());
  const auto progress = [&](std::int64_t done) {
    observer.advance("encoding references", done, total);
  };
  std::int64_t done = 0, derived_count = 0;
  std::vector<fs::path> written;
  progress(0);
  BankObserver told;
  told.seen = [&](const Image& image) {
    if (observer.stopped()) throw Error("interrupted; nothing was kept");
    remarks.see(image.remarks);
    progress(++done);
  };
  told.masked = [&](const Mask& mask) { remarks.see(mask.remarks); };
  told.copied = [&](const Image& image, const std::string& of) {
    remarks.see(
        {{"copies", fmt::format("'{}' is a copy of '{}' and says nothing more; it is left out",
                                image.path.string(), of)}});
  };
  told.nearly_copied = [&](const Image& image, const std::string& of) {
    remarks.see(
        {{"near copies", fmt::format("'{}' is the same shot as '{}', saved again; it counts "
                                     "once when the bank is calibrated",
                                     image.path.string(), of)}});
  };
  told.derived = [&](const Image& image, const DerivedMask& derived) {
    ++derived_count;
    if (!derived_masks.folder.empty()) write_derived(derived_masks, image, derived, written);
  };
  try {
    add_pictures(builder, pictures, told);
  } catch (...) {
    std::error_code ignored;  // the next run would take them for masks that somebody corrected
    for (const auto& file : written) fs::remove(file, ignored);
    throw;
  }
  if (derived_count == 0) return;
  if (derived_masks.folder.empty()) {
    observer.warn(fmt::format(
        "no --masks: where the {} defects are was derived from the good pictures", derived_count));
  } else {
    observer.warn(fmt::format(
        "no --masks: where the {} defects are was derived from the good pictures; look at '{}', "
        "and if a mask is wrong, correct it in '{}' and give that folder as --masks",
        derived_count, (derived_masks.folder / "check").string(), derived_masks.folder.string()));
  }
}

Json describe_pictures(const BankPictures& pictures) {
  Json described;
  described["normal"] = Json::array();
  for (const auto& path : pictures.normal) described["normal"].push_back(path.string());
  described["abnormal"] = Json::array();
  for (const auto& [picture, masks] : pictures.abnormal) {
    described["abnormal"].push_back({{"picture", picture.string()},
                                     {"mask", masks.empty() ? "derived" : masks.front().string()}});
  }
  return described;
}

}  // namespace nagl::jobs
