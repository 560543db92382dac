#include "picture_flags.h"

#include <fmt/format.h>

#include <iostream>

#include "nagl/jobs/experiment.h"

namespace nagl::apps {
namespace {

constexpr const char* kReferences = "References";
constexpr const char* kScoring = "Scoring";

}  // namespace

void add_backbone_flags(CLI::App& command, jobs::RuntimeOptions& runtime,
                        jobs::EncodingRequest& encoding) {
  add_backbone_flags(command, runtime, encoding.layer, encoding.image_size, encoding.precision);
  add_max_pixels_flag(command, encoding.max_pixels);
}

void add_max_pixels_flag(CLI::App& command, std::optional<std::int64_t>& max_pixels) {
  command
      .add_option("--max-pixels", max_pixels,
                  "Refuse larger pictures instead of reading them, as width x height; a picture "
                  "takes up to some 20 bytes of memory a pixel")
      ->check(CLI::Range(std::int64_t{1}, std::int64_t{1} << 40))
      ->default_str(std::to_string(DecodeOptions().max_pixels))
      ->group("Backbone and device");
}

void add_picture_flags(CLI::App& command, jobs::PictureSelection& pictures) {
  command
      .add_option("--normal", pictures.normal,
                  "Folder of pictures of good parts, or one such picture; may be repeated")
      ->allow_extra_args(false)
      ->group(kReferences);
  command
      .add_option("--abnormal", pictures.abnormal,
                  "Folder of pictures of defects, or one such picture; may be repeated")
      ->allow_extra_args(false)
      ->group(kReferences);
  command
      .add_option("--masks", pictures.masks,
                  "Where the defects are: a folder of masks (above 0 on the defect) or LabelMe "
                  "files, matched by stem, with or without _mask, or a COCO file. Without it masks "
                  "are derived from the good pictures, and drawn for you to check")
      ->group(kReferences);
  command
      .add_option("--normal-shots", pictures.normal_shots,
                  "Use only the first N normal pictures, sorted by path")
      ->check(CLI::Range(1, 1000000))
      ->group(kReferences);
  command
      .add_option("--abnormal-shots", pictures.abnormal_shots,
                  "Use only the first N abnormal pictures")
      ->check(CLI::Range(1, 1000000))
      ->group(kReferences);
}

void add_reference_flags(CLI::App& command, jobs::ReferenceRequest& request) {
  add_text_option(
      command, "--augment-references",
      [&request](const std::string& text) {
        request.automatic_turns = text == "auto";
        request.turns.reset();
        if (text != "auto") request.turns = text == "rotate" ? 4 : text == "rotate8" ? 8 : 1;
      },
      fmt::format("none; rotate: each normal picture turned by 90, 180 and 270 degrees too, for "
                  "parts and textures that lie at any angle; rotate8: by 45 degrees. The bank "
                  "grows by that factor. auto: rotate for --method auto with up to {} normal "
                  "pictures, else none. Where orientation is the defect, give none",
                  kTurnedPictures))
      ->check(CLI::IsMember({"auto", "none", "rotate", "rotate8"}))
      ->default_str("auto")
      ->group(kReferences);
  command
      .add_option("--coreset", request.coreset,
                  "Keep only this share of the normal patches, those least like each other, e.g. "
                  "0.1; for large sets of references")
      ->default_str("1")
      ->group(kReferences);
  command
      .add_option(
          "--abnormal-weight", request.abnormal_weight,
          "Of the known defects in method discriminant; 0: distance from good patches alone")
      ->default_str(fmt::format("{} for one picture of a defect, {} for more",
                                DiscriminantOptions().weight_for(1),
                                DiscriminantOptions().weight_for(2)))
      ->group(kScoring);
  add_text_option(
      command, "--abnormal-surroundings",
      [&request](const std::string& text) { request.surroundings = text == "on"; },
      "Whether patches well outside the masks of --abnormal join the good ones that others are "
      "compared with, in method discriminant; they say what is usual in any case")
      ->check(CLI::IsMember({"on", "off"}))
      ->default_str("on")
      ->group(kScoring);
  command
      .add_option("--top-share", request.top_share,
                  "Share of the patches whose mean is the image score")
      ->default_str("0.01 for the published methods, else 0.005")
      ->group(kScoring);
}

void add_tiling_flags(CLI::App& command, jobs::EncodingRequest& encoding) {
  command
      .add_option(
          "--tile", encoding.tile,
          "Cut pictures into tiles of this side in pixels, each of which enters the network "
          "on its own: for small defects in large pictures, e.g. 448")
      ->default_str("0: whole pictures")
      ->group(kScoring);
  command
      .add_option("--overlap", encoding.overlap,
                  "Least share of its side that a tile has in common with the next")
      ->default_str("0.25")
      ->group(kScoring);
}

void add_bank_flags(CLI::App& command, jobs::BankRequest& request) {
  add_reference_flags(command, request.references);
  add_parsed_option(
      command, "--method", request.method,
      "auto: discriminant with --abnormal, else normal_nn; discriminant: unlike any "
      "good patch, and towards the known defects as good patches do not vary; "
      "normal_nn: unlike any good patch; abnormal_nn: like a known defect; both_nn: "
      "both; nagl: both, with a model that nagl train made; nagl_standardised: the same, "
      "fused as discriminant is")
      ->default_str("auto")
      ->group(kScoring);
  command
      .add_option("--model", request.model,
                  "The model.safetensors of a training, for nagl and nagl_standardised; --layer "
                  "follows it")
      ->group(kScoring);
  add_tiling_flags(command, request.encoding);
  command
      .add_option("--bit-depth", request.encoding.bit_depth,
                  "Bits a sample of 16-bit pictures really holds, e.g. 12")
      ->default_str("16")
      ->group(kScoring);
}

void add_experiment_flags(CLI::App& command, std::filesystem::path& config,
                          std::vector<std::string>& settings, const std::string& config_example,
                          const std::string& setting_example) {
  constexpr const char* kGroup = "Options in files";
  command
      .add_option("--config", config,
                  "JSON file of options that differ from the defaults, e.g. " + config_example)
      ->group(kGroup);
  command
      .add_option("--set", settings,
                  "One option as section.key=value, e.g. " + setting_example + "; may be repeated")
      ->allow_extra_args(false)
      ->group(kGroup);
  command
      .add_flag_callback(
          "--print-options",
          [] {
            std::cout << dump_json(option_to_json(jobs::ExperimentOptions()), 2) << "\n";
            throw CLI::Success();
          },
          "Print all options of --config and --set with their defaults, and exit")
      ->group(kGroup);
}

}  // namespace nagl::apps
