#include "nagl/jobs/enroll.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>

#include "nagl/core/atomic_file.h"
#include "nagl/core/device.h"
#include "nagl/core/duration.h"
#include "nagl/core/error.h"
#include "nagl/core/file_lock.h"
#include "nagl/core/text.h"
#include "nagl/detection/reference_assembler.h"
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

/// What is said of a bank.
EnrollResult result_of(const fs::path& file, const Bank& bank, double seconds) {
  std::error_code error;
  return {static_cast<std::size_t>(bank.normal_count()),
          bank.abnormal.size(),
          bank.features.normal.size(0),
          bank.scored_by(),
          static_cast<double>(fs::file_size(file, error)) / kMegabyte,
          seconds};
}

/// One enrolment, from the pictures to the bank's file.
class Enrolling {
 public:
  Enrolling(const EnrollOptions& options, const JobObserver& observer)
      : options_(options), observer_(observer) {
    if (options.add) earlier_ = load_bank(options.out, device_of(options.runtime));
    method_ = earlier_ ? earlier_->options.method : options.request.over().method;
    pictures_ = find_pictures(options.pictures, method_, observer);
    if (!earlier_) {
      if (pictures_.normal.empty()) throw ConfigError("give good pictures with --normal");
      check_pictures(pictures_, method_, observer);
      pictures_.roi = read_roi(options.roi, pictures_, options.request.over().encoding.decode);
    }
    calibrated_ = earlier_ && earlier_->calibration;
    scored_by_ = earlier_ ? earlier_->scored_by() : method_;
    builder_.emplace(earlier_ ? go_on(options, std::move(*earlier_), observer)
                              : start_bank(options.request, pictures_, options.runtime, observer));
    if (options.add) drop_known(*builder_, pictures_, observer);
    derived_ = plan_derived_masks(options.pictures, pictures_, derived_folder(options));
    tell_size(pictures_, *builder_, observer);
  }

  const BankPictures& pictures() const { return pictures_; }
  const BankBuilder& builder() const { return *builder_; }

  EnrollResult finish() {
    RemarkLog remarks(observer_);
    add_to_bank(*builder_, pictures_, derived_, remarks, observer_);
    remarks.finish();
    const auto backbone = builder_->encoder().shared_backbone();
    const Bank made = builder_->finish();
    if (options_.add && made.scored_by() != scored_by_) {
      observer_.info(fmt::format("method {}: {} from now on, since there is a picture of a defect",
                                 to_string(method_), to_string(made.scored_by())));
    }
    if (calibrated_ && !made.calibration) {
      observer_.warn("the bank's calibration is void; calibrate it again");
    }
    save_change(options_.out, made, *backbone,
                fmt::format("enroll {}{} good, {} of defects", options_.add ? "--add: " : "",
                            pictures_.normal.size(), pictures_.abnormal.size()),
                options_.keep);
    return result_of(options_.out, made, watch_.seconds());
  }

 private:
  const EnrollOptions& options_;
  const JobObserver& observer_;
  const Stopwatch watch_;
  std::optional<Bank> earlier_;
  Method method_ = Method::kAuto, scored_by_ = Method::kAuto;
  BankPictures pictures_;
  bool calibrated_ = false;
  std::optional<BankBuilder> builder_;
  DerivedMaskPlan derived_;
};

/// Several processes encode the good pictures, whose features lie beside the bank until one of them
/// has made it.
EnrollResult enroll_with_others(const EnrollOptions& options, const JobObserver& observer) {
  if (options.add || options.overwrite) {
    throw ConfigError(
        "--shard makes a new bank: it goes neither with --add nor with --overwrite; name another "
        "file with --out");
  }
  const Stopwatch watch;
  const fs::path folder =
      options.out.parent_path() / fmt::format(".{}.shards", options.out.filename().string());
  const SharedJob job(folder, options.sharding, observer);
  std::error_code error;
  if (job.finished() && fs::exists(options.out, error)) {  // others have made it
    return result_of(options.out, load_bank(options.out, at::kCPU), watch.seconds());
  }
  check_out(options);
  if (job.finished()) fs::remove_all(folder, error);
  Enrolling enrolling(options, observer);
  const PictureEncoder& encoder = enrolling.builder().encoder();
  encoder.keep_features_in(folder / "features");

  constexpr std::size_t kPictures = 4;
  const auto& normal = enrolling.pictures().normal;
  std::vector<std::string> units;
  for (std::size_t begin = 0; begin < normal.size(); begin += kPictures) {
    units.push_back(fmt::format("{:08}", begin));
  }
  const auto marker = [&](const std::string& unit) { return folder / "encoded" / unit; };
  std::size_t encoded = 0;
  const bool all = job.work(
      units,
      [&](const std::string& unit) {
        std::error_code unknown;
        return fs::exists(marker(unit), unknown) || job.finished();
      },
      [&](const std::string& unit) {
        const auto begin = static_cast<std::size_t>(*whole_number(unit));
        const c10::InferenceMode guard;
        for (std::size_t i = begin; i < std::min(begin + kPictures, normal.size()); ++i) {
          if (observer.stopped()) return false;
          const Image image = encoder.read(normal[i]);
          ViewBatches<int> views(encoder, [](const at::Tensor&, std::vector<int>&) {});
          for_each_view(
              encoder, image.rgb, enrolling.builder().options().turns,
              [&](const ReferenceView&, const cv::Mat& rgb) { views.add(encoder.pixels(rgb), 0); });
          views.flush();
          observer.advance("encoding", static_cast<std::int64_t>(++encoded),
                           static_cast<std::int64_t>(normal.size()));
        }
        write_file(marker(unit), "");
        return true;
      });
  if (!all) throw Error("interrupted; what was encoded so far is kept");
  std::optional<EnrollResult> result;
  const auto own = job.finish([&] { result = enrolling.finish(); });
  if (!own) throw Error("interrupted; what was encoded so far is kept");
  if (*own) {
    for (const char* part : {"features", "encoded"}) fs::remove_all(folder / part, error);
    return *result;
  }
  return result_of(options.out, load_bank(options.out, at::kCPU), watch.seconds());
}

}  // namespace

EnrollResult enroll(const EnrollOptions& options, const JobObserver& observer) {
  if (options.sharding.shared()) return enroll_with_others(options, observer);
  check_out(options);
  const FileLock lock = FileLock::on_file(options.out, "changing the bank");
  AtomicFile probe(options.out);  // never committed: what cannot be written is said at once
  Enrolling enrolling(options, observer);
  return enrolling.finish();
}

}  // namespace nagl::jobs
