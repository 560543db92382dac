#include "references.h"

#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include <set>

#include "nagl/core/device.h"
#include "nagl/core/error.h"
#include "nagl/core/options.h"
#include "nagl/dataset/pictures.h"
#include "nagl/image/overlay.h"

namespace nagl::apps {
namespace {

namespace fs = std::filesystem;

std::int64_t turns_of(const std::string& augment) {
  return augment == "rotate" ? 4 : augment == "rotate8" ? 8 : 1;
}

fs::path mask_at(const fs::path& folder, const fs::path& place) {
  fs::path mask = folder / place;
  return mask += "_mask.png";
}

/// The mask, and the picture beside its heat map and the mask's outline.
void write_derived(const DerivedMaskPlan& plan, const Image& image, const DerivedMask& derived) {
  const fs::path& place = plan.places.at(image.path);
  write_png(mask_at(plan.folder, place), derived.mask);
  OverlayContent content;
  content.rgb = image.rgb;
  content.map = derived.map;
  content.scale = scale_of(derived.map);
  content.truth = derived.mask;
  content.caption = "derived mask: outlined on the right";
  fs::path check = plan.folder / "check" / place;
  write_png(check += "_check.png", draw_overlay(content));
}

/// The trained head that the method needs. @throws ConfigError if it needs one and none is named,
/// or the other way round
std::optional<TrainedHead> load_model(const ReferenceArguments& arguments, Method method,
                                      at::Device device) {
  if (uses_head(method) == arguments.model.empty()) {
    throw ConfigError(arguments.model.empty()
                          ? "method nagl needs --model, the model.safetensors of nagl train"
                          : "--model is for --method nagl");
  }
  if (arguments.model.empty()) return std::nullopt;
  return load_head(arguments.model, device);
}

/// Throws ModelError if an argument that is set says otherwise than the bank.
void check_agrees(const fs::path& bank_path, const Bank& bank, const ReferenceArguments& arguments,
                  const RuntimeOptions& runtime) {
  const auto differ = [&](const std::string& option, const auto& asked, const auto& made) {
    if (asked == made) return;
    throw ModelError(
        fmt::format("bank '{}' was made with {} {}, not {}; leave the option out, or enroll again",
                    bank_path.string(), option, made, asked));
  };
  const DetectorOptions& made = bank.options;
  if (arguments.method) {
    differ("--method", to_string(parse_as<Method>(*arguments.method)), to_string(made.method));
  }
  if (arguments.augment) {
    differ("--augment-references turns", turns_of(*arguments.augment), made.turns);
  }
  if (arguments.tile) differ("--tile", *arguments.tile, made.tiling.tile);
  if (arguments.overlap) differ("--overlap", *arguments.overlap, made.tiling.overlap);
  if (arguments.coreset) differ("--coreset", *arguments.coreset, made.coreset);
  if (arguments.bit_depth) differ("--bit-depth", *arguments.bit_depth, made.decode.bit_depth);
  if (runtime.layer) differ("--layer", *runtime.layer, bank.origin.layer);
  if (runtime.image_size) {
    const ImageSize asked = parse_image_size(*runtime.image_size);
    const auto text = [](ImageSize size) { return fmt::format("{}x{}", size.height, size.width); };
    differ("--image-size", text(asked), text(made.image_size));
  }
  if (!arguments.model.empty()) {
    const std::string asked = WeightsFile(arguments.model).checksum();
    const std::string held = bank.head ? checksum_of(state_of(*bank.head->head)) : "none";
    differ("a --model of checksum", asked.substr(0, 12), held.substr(0, 12));
  }
}

}  // namespace

void LowValueWarning::see(const Image& image, Progress& progress) {
  if (!image.looks_12_bit || count_++ > 0) return;
  progress.clear();
  spdlog::warn(
      "'{}' is a 16-bit picture without values of 4096 or more and will look dark; "
      "if it holds 12 bits, give --bit-depth 12",
      image.path.string());
}

void LowValueWarning::finish() const {
  if (count_ > 1) spdlog::warn("{} pictures gave that warning", count_);
}

DetectorOptions detector_options(const ReferenceArguments& arguments, ImageSize image_size) {
  DetectorOptions options;
  options.image_size = image_size;
  if (arguments.method) options.method = parse_as<Method>(*arguments.method);
  if (arguments.augment) options.turns = turns_of(*arguments.augment);
  if (arguments.tile) options.tiling.tile = *arguments.tile;
  if (arguments.overlap) options.tiling.overlap = *arguments.overlap;
  if (arguments.coreset) options.coreset = *arguments.coreset;
  if (arguments.bit_depth) options.decode.bit_depth = *arguments.bit_depth;
  options.check();
  return options;
}

ReferencePaths find_references(const ReferenceArguments& arguments, Method method) {
  ReferencePaths references;
  if (!arguments.normal.empty()) {
    for (const auto& file : choose_references(arguments.normal, arguments.normal_shots)) {
      references.normal.push_back(file.path);
    }
  }
  const bool abnormal_given = !arguments.abnormal.empty() || !arguments.masks.empty();
  if (!uses_abnormal(method)) {
    if (!abnormal_given) return references;
    throw ConfigError(fmt::format(
        "method {} does not use --abnormal and --masks; give --method both_nn or abnormal_nn",
        to_string(method)));
  }
  if (!abnormal_given) return references;
  if (arguments.abnormal.empty()) {
    throw ConfigError("--masks are those of pictures of defects; name them with --abnormal");
  }
  const auto pictures = choose_references(arguments.abnormal, arguments.abnormal_shots);
  if (!arguments.masks.empty()) {
    references.abnormal = pair_with_masks(pictures, arguments.masks);
  } else {
    for (const auto& file : pictures) references.abnormal.push_back({file.path, {}});
  }
  return references;
}

void check_references(const ReferencePaths& references, Method method) {
  if (!uses_abnormal(method) || !references.abnormal.empty()) return;
  if (!uses_head(method)) {
    throw ConfigError(
        fmt::format("method {} needs pictures of defects: give --abnormal", to_string(method)));
  }
  spdlog::info("method nagl without --abnormal is normal_nn");
}

NewBank start_bank(const ReferenceArguments& arguments, RuntimeOptions runtime_options) {
  const Method method =
      arguments.method ? parse_as<Method>(*arguments.method) : DetectorOptions().method;
  auto head = load_model(arguments, method, parse_device(runtime_options.device));
  if (head && !runtime_options.layer) runtime_options.layer = head->origin.layer;
  Runtime runtime = start_runtime(runtime_options);
  BankBuilder builder(runtime.backbone, detector_options(arguments, runtime.image_size),
                      std::move(head), runtime.batch_size);
  return {std::move(runtime), std::move(builder)};
}

Runtime start_runtime_for(const fs::path& bank_path, const Bank& bank,
                          const ReferenceArguments& arguments, RuntimeOptions runtime) {
  check_agrees(bank_path, bank, arguments, runtime);
  runtime.layer = bank.origin.layer;
  runtime.image_size =
      fmt::format("{}x{}", bank.options.image_size.height, bank.options.image_size.width);
  parse_device(runtime.device);
  parse_as<Precision>(runtime.precision.value_or(kDefaultPrecision));
  const Runtime started = [&] {
    try {
      return start_runtime(runtime);
    } catch (const ConfigError& error) {
      // A backbone without the bank's layer, or of other patches.
      throw ModelError(fmt::format("bank '{}' belongs to {}: {}", bank_path.string(),
                                   bank.origin.backbone, error.what()));
    }
  }();
  bank.origin.check_equals(origin_of(*started.backbone), bank_path);
  return started;
}

DerivedMaskPlan plan_derived_masks(const ReferenceArguments& arguments,
                                   const ReferencePaths& references, const fs::path& folder) {
  DerivedMaskPlan plan;
  const bool needed = !references.abnormal.empty() && references.abnormal.front().masks.empty();
  if (folder.empty() || !needed) return plan;
  plan.folder = folder;
  std::set<fs::path> taken, wanted;
  for (const auto& reference : references.abnormal) wanted.insert(reference.picture);
  for (const auto& file : choose_references(arguments.abnormal, arguments.abnormal_shots)) {
    if (!wanted.contains(file.path)) continue;
    const fs::path place = file.relative().replace_extension();
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

void add_references(BankBuilder& builder, const ReferencePaths& references,
                    const DerivedMaskPlan& derived_masks, LowValueWarning& low_values) {
  Progress progress("encoding references", static_cast<std::int64_t>(references.normal.size() +
                                                                     references.abnormal.size()));
  std::int64_t done = 0, derived_count = 0;
  ReferenceListener listener;
  listener.seen = [&](const Image& image) {
    low_values.see(image, progress);
    progress.update(++done);
  };
  listener.derived = [&](const Image& image, const DerivedMask& derived) {
    ++derived_count;
    if (!derived_masks.folder.empty()) write_derived(derived_masks, image, derived);
  };
  add_pictures(builder, references, listener);
  progress.clear();
  if (derived_count == 0) return;
  if (derived_masks.folder.empty()) {
    spdlog::warn("no --masks: where the {} defects are was derived from the good pictures",
                 derived_count);
  } else {
    spdlog::warn(
        "no --masks: where the {} defects are was derived from the good pictures; look at '{}', "
        "and if a mask is wrong, correct it in '{}' and give that folder as --masks",
        derived_count, (derived_masks.folder / "check").string(), derived_masks.folder.string());
  }
}

Json describe_references(const ReferencePaths& references) {
  Json described;
  described["normal"] = Json::array();
  for (const auto& path : references.normal) described["normal"].push_back(path.string());
  described["abnormal"] = Json::array();
  for (const auto& [picture, masks] : references.abnormal) {
    described["abnormal"].push_back({{"picture", picture.string()},
                                     {"mask", masks.empty() ? "derived" : masks.front().string()}});
  }
  return described;
}

}  // namespace nagl::apps
