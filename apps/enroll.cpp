#include <fmt/format.h>
#include <fmt/ostream.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <chrono>
#include <iostream>

#include "enroll_arguments.h"
#include "exit_code.h"
#include "nagl/core/atomic_file.h"
#include "nagl/core/error.h"
#include "nagl/detection/detector.h"
#include "nagl/image/tiling.h"
#include "references.h"

namespace nagl::apps {
namespace {

namespace fs = std::filesystem;

constexpr double kMegabyte = 1e6;

fs::path derived_folder(const EnrollArguments& arguments) {
  if (!arguments.derived_masks.empty()) return arguments.derived_masks;
  fs::path folder = arguments.out;
  folder.replace_extension();
  folder += "-masks";
  return folder;
}

double megabytes(std::int64_t rows, std::int64_t width) {
  return static_cast<double>(rows * width) * sizeof(float) / kMegabyte;
}

/// Says how large the bank will be, by the first picture's size.
void tell_size(const ReferencePaths& references, const BankBuilder& builder) {
  const DetectorOptions& options = builder.options();
  const Backbone& backbone = *builder.backbone();
  if (references.normal.empty()) return;
  const Image first = read_image(references.normal.front(), options.decode);
  const auto pictures = static_cast<std::int64_t>(references.normal.size());
  const auto tiles = cut_into_tiles(first.rgb.size(), options.tiling).count();
  const std::int64_t rows = pictures * expected_rows(first.rgb.size(), options, backbone.patch());
  spdlog::info("{} normal pictures{}{} give about {} patches, {:.0f} MB{}", pictures,
               tiles > 1 ? fmt::format(" of {} tiles", tiles) : "",
               options.turns > 1 ? fmt::format(" at {} angles", options.turns) : "", rows,
               megabytes(rows, backbone.width()),
               options.coreset < 1 ? fmt::format(" (coreset {})", options.coreset) : "");
}

NewBank go_on(const EnrollArguments& arguments, Bank earlier) {
  Runtime runtime =
      start_runtime_for(arguments.out, earlier, arguments.references, arguments.runtime);
  BankBuilder builder(runtime.backbone, std::move(earlier), runtime.batch_size);
  return {std::move(runtime), std::move(builder)};
}

/// Leaves out what the bank holds already, and says so.
/// @throws ConfigError if a picture is in it as the opposite
void drop_known(const BankBuilder& builder, ReferencePaths& references) {
  const DecodeOptions& decode = builder.options().decode;
  const auto contradicts = [](const fs::path& path, const char* as) {
    throw ConfigError(fmt::format("'{}' is in the bank as a picture {}; enroll again (--overwrite)",
                                  path.string(), as));
  };
  const auto normal = std::erase_if(references.normal, [&](const fs::path& path) {
    const Image image = read_image(path, decode);
    if (builder.holds_abnormal(image)) contradicts(path, "of a defect");
    return builder.holds_normal(image);
  });
  const auto abnormal = std::erase_if(references.abnormal, [&](const MaskedPicture& masked) {
    const Image image = read_image(masked.picture, decode);
    if (builder.holds_normal(image)) contradicts(masked.picture, "of a good part");
    return builder.holds_abnormal(image);
  });
  if (normal > 0) spdlog::info("{} of the pictures are in the bank already", normal);
  if (abnormal > 0) {
    spdlog::warn(
        "{} of the pictures of defects are in the bank already and keep the masks they were "
        "enrolled with; to change one, enroll again (--overwrite)",
        abnormal);
  }
}

void check_out(const EnrollArguments& arguments) {
  std::error_code error;
  const bool exists = fs::exists(arguments.out, error);
  if (fs::is_directory(arguments.out, error)) {
    throw ConfigError(fmt::format("--out '{}' is a folder; name a file, e.g. part.safetensors",
                                  arguments.out.string()));
  }
  if (arguments.add && arguments.overwrite) {
    throw ConfigError("give --add or --overwrite, not both");
  }
  if (arguments.add && !exists) {
    throw ConfigError(fmt::format("--add: the bank '{}' does not exist", arguments.out.string()));
  }
  if (exists && !arguments.add && !arguments.overwrite) {
    throw ConfigError(fmt::format("'{}' exists; give --add to add to it, --overwrite to replace it",
                                  arguments.out.string()));
  }
  if (arguments.add && arguments.references.normal.empty() &&
      arguments.references.abnormal.empty()) {
    throw ConfigError("--add: nothing to add; give --normal or --abnormal");
  }
}

void print_bank(const fs::path& path, const Bank& bank, double seconds) {
  std::error_code error;
  const double size = static_cast<double>(fs::file_size(path, error)) / kMegabyte;
  fmt::print(std::cout, "{}: {} normal picture{}", path.string(), bank.normal.size(),
             bank.normal.size() == 1 ? "" : "s");
  if (!bank.abnormal.empty()) {
    fmt::print(std::cout, ", {} of defects", bank.abnormal.size());
  }
  fmt::print(std::cout, ", {} patches, {:.1f} MB, method {} ({:.1f} s)\n",
             bank.features.normal.size(0), size, to_string(bank.options.method), seconds);
  fmt::print(std::cout, "next: nagl score --bank {} PICTURES, or first nagl calibrate --bank {}\n",
             path.string(), path.string());
}

}  // namespace

int run_enroll(const EnrollArguments& arguments) {
  const auto start = std::chrono::steady_clock::now();
  check_out(arguments);
  AtomicFile probe(arguments.out);  // never committed: what cannot be written is said at once
  const ReferenceArguments& given = arguments.references;
  std::optional<Bank> earlier;
  if (arguments.add) {
    earlier = load_bank(arguments.out, parse_device(arguments.runtime.device));
  }
  const ImageSize size = parse_image_size(arguments.runtime.image_size.value_or(kDefaultImageSize));
  const Method method = earlier ? earlier->options.method : detector_options(given, size).method;
  ReferencePaths references = find_references(given, method);
  if (!earlier) {
    if (references.normal.empty()) throw ConfigError("give good pictures with --normal");
    check_references(references, method);
  }

  const bool calibrated = earlier && earlier->calibration;
  NewBank bank =
      earlier ? go_on(arguments, std::move(*earlier)) : start_bank(given, arguments.runtime);
  if (arguments.add) drop_known(bank.builder, references);
  const DerivedMaskPlan derived = plan_derived_masks(given, references, derived_folder(arguments));
  spdlog::info("backbone {}", bank.runtime.backbone->describe());
  tell_size(references, bank.builder);
  LowValueWarning low_values;
  add_references(bank.builder, references, derived, low_values);
  low_values.finish();
  const Bank made = bank.builder.finish();
  if (calibrated && !made.calibration) {
    spdlog::warn("the bank's calibration is void; calibrate it again");
  }
  save_bank(arguments.out, made, *bank.runtime.backbone);
  const auto seconds = std::chrono::steady_clock::now() - start;
  print_bank(arguments.out, made, std::chrono::duration<double>(seconds).count());
  return kSuccess;
}

}  // namespace nagl::apps
