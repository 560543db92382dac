#include "reference_options.h"

#include <CLI/CLI.hpp>

namespace nagl::apps {

void add_reference_options(CLI::App& command, ReferenceArguments& arguments) {
  constexpr const char* kReferences = "References";
  command
      .add_option("--normal", arguments.normal,
                  "Folder of pictures of good parts, or one such picture; may be repeated")
      ->allow_extra_args(false)
      ->group(kReferences);
  command
      .add_option("--abnormal", arguments.abnormal,
                  "Folder of pictures of defects, or one such picture; may be repeated")
      ->allow_extra_args(false)
      ->group(kReferences);
  command
      .add_option("--masks", arguments.masks,
                  "Where the defects are: a folder of masks (above 0 on the defect) or LabelMe "
                  "files, matched by stem, with or without _mask, or a COCO file. Without it masks "
                  "are derived from the good pictures, and drawn for you to check")
      ->group(kReferences);
  command
      .add_option("--normal-shots", arguments.normal_shots,
                  "Use only the first N normal pictures, sorted by path")
      ->check(CLI::Range(1, 1000000))
      ->group(kReferences);
  command
      .add_option("--abnormal-shots", arguments.abnormal_shots,
                  "Use only the first N abnormal pictures")
      ->check(CLI::Range(1, 1000000))
      ->group(kReferences);
  command
      .add_option("--augment-references", arguments.augment,
                  "none; rotate: each normal picture at 4 angles too (parts that lie turned); "
                  "rotate8: at 8. The bank grows by that factor")
      ->check(CLI::IsMember({"none", "rotate", "rotate8"}))
      ->default_str("none")
      ->group(kReferences);
  command
      .add_option("--coreset", arguments.coreset,
                  "Keep only this share of the normal patches, those least like each other, e.g. "
                  "0.1; for large sets of references")
      ->default_str("1")
      ->group(kReferences);

  constexpr const char* kScoring = "Scoring";
  command
      .add_option("--method", arguments.method,
                  "normal_nn: unlike any good patch; abnormal_nn: like a known defect; both_nn: "
                  "both; nagl: both, with a model that nagl train made")
      ->default_str("normal_nn")
      ->group(kScoring);
  command
      .add_option("--model", arguments.model,
                  "The model.safetensors of a training, for --method nagl; --layer follows it")
      ->group(kScoring);
  command
      .add_option(
          "--tile", arguments.tile,
          "Cut pictures into tiles of this side in pixels, each of which enters the network "
          "on its own: for small defects in large pictures, e.g. 448")
      ->default_str("0: whole pictures")
      ->group(kScoring);
  command
      .add_option("--overlap", arguments.overlap,
                  "Least share of its side that a tile has in common with the next")
      ->default_str("0.25")
      ->group(kScoring);
  command
      .add_option("--bit-depth", arguments.bit_depth,
                  "Bits a sample of 16-bit pictures really holds, e.g. 12")
      ->default_str("16")
      ->group(kScoring);
}

}  // namespace nagl::apps
