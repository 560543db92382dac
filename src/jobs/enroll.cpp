#include "nagl/jobs/enroll.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>

#include "nagl/core/atomic_file.h"
#include "nagl/core/device.h"
#include "nagl/core/duration.h"
#include "nagl/core/error.h"
#include "nagl/core/file_lock.h"
#include "nagl/jobs/bank_preparation.h"

namespace nagl::jobs {
namespace {

namespace fs = std::filesystem;

constexpr double kMegabyte = 1e6;

fs::path derived_folder(const EnrollOptions& options) {
  if (!options.derived_masks.empty()) return options.derived_masks;
  fs::path folder = options.out;
  folder.replace_extension();
  folder += "-masks";
  return folder;
}

double megabytes(std::int64_t values) {
  return static_cast<double>(values) * sizeof(float) / kMegabyte;
}

/// Says how large the bank will be, by the first picture's size.
void tell_size(const BankPictures& pictures, const BankBuilder& builder,
               const JobObserver& observer) {
  if (pictures.normal.empty()) return;
  const PictureEncoder& encoder = builder.encoder();
  const BankOptions& options = builder.options();
  const Image first = encoder.read(pictures.normal.front());
  const auto good = static_cast<std::int64_t>(pictures.normal.size());
  const auto defects = static_cast<std::int64_t>(pictures.abnormal.size());
  const auto tiles = encoder.tiles_of(first.rgb).count();
  const double share =
      pictures.roi.empty()
          ? 1
          : patches_inside(encoder, pictures.roi).to(at::kFloat).mean().item<double>();
  const auto rows_of = [&](std::int64_t turns) {
    return static_cast<std::int64_t>(
        share *
        static_cast<double>(expected_rows(first.rgb.size(), encoder, turns, options.coreset)));
  };
  const std::int64_t width = encoder.backbone().width(), rows = good * rows_of(options.turns);
  std::int64_t values = rows * width;
  if (options.max_size > 0 &&
      megabytes(rows * width) > static_cast<double>(options.max_size) / kMegabyte) {
    observer.info(fmt::format(
        "{} normal pictures give about {} patches, more than the bank may hold ({:.0f} MB): the "
        "ones least unlike the others are forgotten",
        good, rows, static_cast<double>(options.max_size) / kMegabyte));
    return;
  }
  if (uses_surroundings(options.method)) {
    values += defects * rows_of(1) * width;
    if (options.coreset < 1) values += (good + defects) * width * (width + 1);  // their moments
  }
  observer.info(fmt::format(
      "{} normal pictures{}{} give about {} patches; the bank will have about "
      "{:.0f} MB{}",
      good, tiles > 1 ? fmt::format(" of {} tiles", tiles) : "",
      options.turns > 1 ? fmt::format(" at {} angles", options.turns) : "", rows, megabytes(values),
      options.coreset < 1 ? fmt::format(" (coreset {})", options.coreset) : ""));
}

BankBuilder go_on(const EnrollOptions& options, Bank earlier, const JobObserver& observer) {
  const PictureEncoder encoder =
      encoder_as_made(options.out, earlier, options.request, options.runtime, observer);
  return BankBuilder(encoder.shared_backbone(), std::move(earlier), encoder.batch_size());
}

/// Leaves out what the bank holds already, and says so.
/// @throws ConfigError if a picture is in it as the opposite
void drop_known(const BankBuilder& builder, BankPictures& pictures, const JobObserver& observer) {
  const PictureEncoder& encoder = builder.encoder();
  const auto contradicts = [](const fs::path& path, const char* as) {
    throw ConfigError(fmt::format("'{}' is in the bank as a picture {}; enroll again (--overwrite)",
                                  path.string(), as));
  };
  const auto is_normal = [&](const Image& image) {
    const auto known = builder.same_shot(image);
    return known && known->exact;
  };
  const auto normal = std::erase_if(pictures.normal, [&](const fs::path& path) {
    const Image image = encoder.read(path);
    if (builder.holds_abnormal(image)) contradicts(path, "of a defect");
    return is_normal(image);
  });
  const auto abnormal = std::erase_if(pictures.abnormal, [&](const MaskedPicture& masked) {
    const Image image = encoder.read(masked.picture);
    if (is_normal(image)) contradicts(masked.picture, "of a good part");
    return builder.holds_abnormal(image);
  });
  if (normal > 0) observer.info(fmt::format("{} of the pictures are in the bank already", normal));
  if (abnormal > 0) {
    observer.warn(fmt::format(
        "{} of the pictures of defects are in the bank already and keep the masks they were "
        "enrolled with; to change one, enroll again (--overwrite)",
        abnormal));
  }
}

void check_out(const EnrollOptions& options) {
  std::error_code error;
  const bool exists = fs::exists(options.out, error);
  if (fs::is_directory(options.out, error)) {
    throw ConfigError(fmt::format("--out '{}' is a folder; name a file, e.g. part.safetensors",
                                  options.out.string()));
  }
  if (options.add && options.overwrite) {
    throw ConfigError("give --add or --overwrite, not both");
  }
  if (options.add && !exists) {
    throw ConfigError(fmt::format("--add: the bank '{}' does not exist", options.out.string()));
  }
  if (exists && !options.add && !options.overwrite) {
    throw ConfigError(fmt::format("'{}' exists; give --add to add to it, --overwrite to replace it",
                                  options.out.string()));
  }
  if (options.add && !options.roi.empty()) {
    throw ConfigError(
        "--add: where to look was decided when the bank was begun; leave --roi out, or enroll "
        "again with --overwrite");
  }
  if (options.add && options.pictures.normal.empty() && options.pictures.abnormal.empty()) {
    throw ConfigError("--add: nothing to add; give --normal or --abnormal");
  }
}

}  // namespace

EnrollResult enroll(const EnrollOptions& options, const JobObserver& observer) {
  const Stopwatch watch;
  check_out(options);
  const FileLock lock = FileLock::on_file(options.out, "changing the bank");
  AtomicFile probe(options.out);  // never committed: what cannot be written is said at once
  std::optional<Bank> earlier;
  if (options.add) earlier = load_bank(options.out, parse_device(options.runtime.device));
  const Method method = earlier ? earlier->options.method : options.request.over().method;
  BankPictures pictures = find_pictures(options.pictures, method, observer);
  if (!earlier) {
    if (pictures.normal.empty()) throw ConfigError("give good pictures with --normal");
    check_pictures(pictures, method, observer);
    pictures.roi = read_roi(options.roi, pictures, options.request.over().encoding.decode);
  }

  const bool calibrated = earlier && earlier->calibration;
  const Method scored_by = earlier ? earlier->scored_by() : method;
  BankBuilder builder = earlier ? go_on(options, std::move(*earlier), observer)
                                : start_bank(options.request, pictures, options.runtime, observer);
  if (options.add) drop_known(builder, pictures, observer);
  const DerivedMaskPlan derived =
      plan_derived_masks(options.pictures, pictures, derived_folder(options));
  tell_size(pictures, builder, observer);
  RemarkLog remarks(observer);
  add_to_bank(builder, pictures, derived, remarks, observer);
  remarks.finish();
  const auto backbone = builder.encoder().shared_backbone();
  const Bank made = builder.finish();
  if (options.add && made.scored_by() != scored_by) {
    observer.info(fmt::format("method {}: {} from now on, since there is a picture of a defect",
                              to_string(method), to_string(made.scored_by())));
  }
  if (calibrated && !made.calibration) {
    observer.warn("the bank's calibration is void; calibrate it again");
  }
  save_change(options.out, made, *backbone,
              fmt::format("enroll {}{} good, {} of defects", options.add ? "--add: " : "",
                          pictures.normal.size(), pictures.abnormal.size()),
              options.keep);
  std::error_code error;
  return {static_cast<std::size_t>(made.normal_count()),
          made.abnormal.size(),
          made.features.normal.size(0),
          made.scored_by(),
          static_cast<double>(fs::file_size(options.out, error)) / kMegabyte,
          watch.seconds()};
}

}  // namespace nagl::jobs
