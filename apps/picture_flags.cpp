#include "picture_flags.h"

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

void add_enrolling_flags(CLI::App& command, std::optional<std::int64_t>& turns,
                         std::optional<double>& coreset) {
  add_text_option(
      command, "--augment-references",
      [&turns](const std::string& text) {
        turns = text == "rotate" ? 4 : text == "rotate8" ? 8 : 1;
      },
      "none; rotate: each normal picture at 4 angles too (parts that lie turned); "
      "rotate8: at 8. The bank grows by that factor")
      ->check(CLI::IsMember({"none", "rotate", "rotate8"}))
      ->default_str("none")
      ->group(kReferences);
  command
      .add_option("--coreset", coreset,
                  "Keep only this share of the normal patches, those least like each other, e.g. "
                  "0.1; for large sets of references")
      ->default_str("1")
      ->group(kReferences);
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
  add_enrolling_flags(command, request.turns, request.coreset);
  add_parsed_option(command, "--method", request.method,
                    "normal_nn: unlike any good patch; abnormal_nn: like a known defect; both_nn: "
                    "both; nagl: both, with a model that nagl train made")
      ->default_str("normal_nn")
      ->group(kScoring);
  command
      .add_option("--model", request.model,
                  "The model.safetensors of a training, for --method nagl; --layer follows it")
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
