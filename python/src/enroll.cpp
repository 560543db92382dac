#include "nagl/jobs/enroll.h"

#include <nanobind/stl/string.h>

#include <algorithm>
#include <utility>

#include "bind.h"
#include "call.h"
#include "keywords.h"
#include "nagl/core/error.h"
#include "nagl/core/options.h"
#include "nagl/image/mask.h"
#include "nagl/jobs/bank_preparation.h"
#include "nagl/jobs/calibrate.h"
#include "pictures.h"

namespace nagl::python {
namespace {

namespace fs = std::filesystem;

/// Pictures that were given: files and folders, or in memory, or nothing.
struct Given {
  std::vector<fs::path> paths;    ///< where all are paths
  std::vector<Picture> pictures;  ///< else

  Given(nb::handle given, const char* name) {
    if (given.is_none()) return;
    if (!is_list(given)) {
      add(given, name);
    } else {
      for (nb::handle one : given) add(one, fmt::format("{}[{}]", name, pictures.size()));
    }
    const bool files = std::all_of(pictures.begin(), pictures.end(),
                                   [](const Picture& one) { return !one.file.empty(); });
    if (!files) return;
    for (const auto& one : pictures) paths.push_back(one.file);
    pictures.clear();
  }

  bool in_memory() const { return !pictures.empty(); }
  std::size_t size() const { return paths.size() + pictures.size(); }

 private:
  void add(nb::handle given, const std::string& name) {
    pictures.push_back(picture_from(given, name));
  }
};

/// What `enroll` was asked for.
struct EnrollRequest {
  jobs::EnrollOptions options;
  Given normal, abnormal;
  std::vector<GivenMask> masks;  ///< one for each abnormal picture; empty: a folder, or none
  std::optional<GivenMask> roi;
  std::shared_ptr<const Backbone> backbone;
  nb::object progress;

  EnrollRequest(nb::handle normal_given, nb::handle abnormal_given, nb::handle masks_given,
                const nb::kwargs& given)
      : normal(normal_given, "normal"), abnormal(abnormal_given, "abnormal") {
    options.pictures.normal = normal.paths;
    options.pictures.abnormal = abnormal.paths;
    Keywords keywords(given);
    keywords.take("out", options.out);
    keywords.take("add", options.add);
    keywords.take("overwrite", options.overwrite);
    keywords.take("keep", options.keep);
    keywords.take("normal_shots", options.pictures.normal_shots);
    keywords.take("abnormal_shots", options.pictures.abnormal_shots);
    keywords.take("derived_masks", options.derived_masks);
    keywords.take("max_size", options.request.references.max_size);
    take_bank(keywords, options.request);
    take_encoding(keywords, options.request.encoding);
    take_sharding(keywords, options.sharding, options.runtime, /*merges=*/true);
    take_runtime(keywords, options.runtime);
    backbone = given_backbone(keywords.pop("backbone"), options.runtime.backbone);
    progress = keywords.pop("progress");
    const nb::object where = keywords.pop("roi");
    if (!where.is_none()) roi = mask_from(where, "roi");
    keywords.finish();
    read_masks(masks_given);
    if (roi) options.roi = roi->file;
  }

  /// Whether it is what the command line does: from files, into a file, by a backbone's file.
  bool is_job() const {
    const bool memory =
        normal.in_memory() || abnormal.in_memory() || !masks.empty() || (roi && roi->file.empty());
    return !options.out.empty() && !memory && !backbone;
  }

  void check() const {
    if (is_job()) return;
    const char* file_alone = options.add                      ? "add"
                             : options.sharding.shared()      ? "shard"
                             : !options.derived_masks.empty() ? "derived_masks"
                                                              : nullptr;
    if (file_alone != nullptr) {
      throw ConfigError(fmt::format(
          "{} goes with files alone: give out, pictures by path, and the backbone by its file",
          file_alone));
    }
    std::error_code error;
    if (!options.out.empty() && !options.overwrite && fs::exists(options.out, error)) {
      throw ConfigError(
          fmt::format("'{}' exists; give overwrite=True to replace it", options.out.string()));
    }
  }

 private:
  void read_masks(nb::handle given) {
    if (given.is_none()) return;
    if (is_path(given) && !abnormal.in_memory()) {
      options.pictures.masks = nb::cast<fs::path>(given);
      return;
    }
    if (!is_list(given)) {
      masks.push_back(mask_from(given, "masks"));
    } else {
      for (nb::handle one : given) {
        masks.push_back(mask_from(one, fmt::format("masks[{}]", masks.size())));
      }
    }
    if (masks.size() != abnormal.size()) {
      throw ConfigError(fmt::format("{} masks for {} abnormal pictures; give one for each",
                                    masks.size(), abnormal.size()));
    }
  }
};

/// The picture's name in a bank's pictures: its file, or what stands for it.
fs::path name_of(const Picture& picture, BankPictures& pictures) {
  if (!picture.file.empty()) return picture.file;
  pictures.images[picture.image.path] = picture.image;
  return picture.image.path;
}

/// Files as the job finds them, the others as they were given.
BankPictures pictures_of(const EnrollRequest& request, Method method,
                         const jobs::JobObserver& observer) {
  jobs::PictureSelection files = request.options.pictures;
  if (!request.masks.empty()) files.abnormal.clear();
  BankPictures pictures = jobs::find_pictures(files, method, observer);
  const auto& [options, normal, abnormal, masks, roi, backbone, progress] = request;
  for (const auto& picture : normal.pictures) {
    pictures.normal.push_back(name_of(picture, pictures));
  }
  for (std::size_t i = 0; i < abnormal.pictures.size() || i < masks.size(); ++i) {
    MaskedPicture masked;
    masked.picture =
        abnormal.in_memory() ? name_of(abnormal.pictures[i], pictures) : abnormal.paths[i];
    if (!masks.empty()) {
      masked.masks.push_back(masks[i].file.empty() ? fs::path(fmt::format("masks[{}]", i))
                                                   : masks[i].file);
      if (masks[i].file.empty()) pictures.masks[masked.masks.front()] = masks[i].marks;
    }
    pictures.abnormal.push_back(std::move(masked));
  }
  if (!pictures.abnormal.empty() && !uses_abnormal(method)) {
    throw ConfigError(
        fmt::format("method {} does not use pictures of defects; leave them out, or "
                    "give another method",
                    to_string(method)));
  }
  return pictures;
}

/// What `enroll` would write, in memory.
BankHandle enroll_in_memory(const EnrollRequest& request, const jobs::JobObserver& observer) {
  const jobs::EnrollOptions& options = request.options;
  const BankOptions bank = options.request.over();
  BankPictures pictures = pictures_of(request, bank.method, observer);
  if (pictures.normal.empty()) throw ConfigError("give good pictures: normal");
  jobs::check_pictures(pictures, bank.method, observer);
  pictures.roi = request.roi && request.roi->file.empty()
                     ? request.roi->marks
                     : jobs::read_roi(options.roi, pictures, bank.encoding.decode);
  BankBuilder builder =
      request.backbone
          ? jobs::start_bank(options.request, pictures, request.backbone,
                             jobs::batch_size_for(options.runtime, *request.backbone), observer)
          : jobs::start_bank(options.request, pictures, options.runtime, observer);
  jobs::RemarkLog remarks(observer);
  jobs::add_to_bank(builder, pictures, {}, remarks, observer);
  remarks.finish();
  const auto backbone = builder.encoder().shared_backbone();
  BankHandle made{builder.finish(), backbone};
  if (!options.out.empty()) {
    jobs::save_change(options.out, made.bank, *backbone, "enroll", options.keep);
  }
  return made;
}

BankHandle enroll(nb::handle normal, nb::handle abnormal, nb::handle masks,
                  const nb::kwargs& given) {
  const EnrollRequest request(normal, abnormal, masks, given);
  request.check();
  Call call(request.progress);
  return call.run([&] {
    const auto observer = call.observer();
    if (!request.is_job()) return enroll_in_memory(request, observer);
    jobs::enroll(request.options, observer);
    return BankHandle{load_bank(request.options.out, at::kCPU), nullptr};
  });
}

nb::object calibrate(nb::handle bank, const nb::kwargs& given) {
  jobs::CalibrateOptions options;
  bool best_f1 = false;
  Keywords keywords(given);
  keywords.take("normal", options.normal);
  keywords.take("abnormal", options.abnormal);
  std::optional<double> rate;
  keywords.take("false_alarm_rate", rate);
  keywords.take("best_f1", best_f1);
  keywords.take("keep", options.keep);
  take_encoding(keywords, options.encoding);
  take_runtime(keywords, options.runtime);
  const auto backbone = given_backbone(keywords.pop("backbone"), options.runtime.backbone);
  Call call(keywords.pop("progress"));
  keywords.finish();
  if (rate && best_f1) throw ConfigError("give false_alarm_rate or best_f1, not both");
  if (rate) options.calibration.false_alarm_rate = *rate;
  if (best_f1) options.calibration.rule = ThresholdRule::kBestF1;

  if (!nb::isinstance<BankHandle>(bank)) {
    if (!is_path(bank)) Keywords::refuse("bank", bank, "a nagl.Bank or a path");
    if (backbone) {
      throw ConfigError(
          "a bank's file is calibrated by a backbone's file: give backbone as a path");
    }
    options.bank = nb::cast<fs::path>(bank);
    return to_python(
        option_to_json(call.run([&] { return jobs::calibrate(options, call.observer()); })));
  }
  auto& held = nb::cast<BankHandle&>(bank);
  BankHandle copy = held;  // another thread may look at it meanwhile
  const Calibration shown = call.run([&] {
    const auto observer = call.observer();
    auto used = backbone ? backbone : options.runtime.backbone.empty() ? copy.backbone : nullptr;
    if (!used) {
      jobs::BankRequest request;
      request.encoding = options.encoding;
      used = jobs::encoder_for({}, copy.bank, request, options.runtime, observer).shared_backbone();
    }
    return jobs::calibrate(copy.bank, used, jobs::batch_size_for(options.runtime, *used), options,
                           observer);
  });
  held.bank.calibration = copy.bank.calibration;
  return to_python(option_to_json(shown));
}

}  // namespace

void bind_enroll(nb::module_& module) {
  module.def(
      "enroll", enroll, nb::arg("normal").none(), nb::arg("abnormal") = nb::none(),
      nb::arg("masks") = nb::none(), nb::arg("options"),
      nb::sig(fmt::format(
                  "def enroll(normal: Picture | Sequence[Picture] | None, abnormal: Picture | "
                  "Sequence[Picture] | None = None, masks: Mask | Sequence[Mask] | None = None, *, "
                  "out: Path | None = None, add: bool = False, overwrite: bool = "
                  "False, keep: int = {}, normal_shots: int | None = None, abnormal_shots: int | "
                  "None = None, derived_masks: Path | None = None, roi: Mask | None = "
                  "None, max_size: int | None = None, {}, {}, {}, {}, {}, merge: bool = False, "
                  "progress: Progress | None = None) -> Bank",
                  jobs::kKeptGenerations, bank_signature(), kBackbone, kEncoding, kRuntime,
                  kSharding)
                  .c_str()),
      "Encodes references once, as `nagl enroll` does.\n\n"
      "normal, abnormal: good pictures, and those of defects: files or folders, or pictures in "
      "memory\n    (as Detector.detect takes them)\n"
      "masks: where the defects are: a folder of masks or a COCO file for pictures by path, or a "
      "list of\n    masks, one a picture; None: they are derived from the good pictures\n"
      "out: the bank's file; None: none is written\n"
      "add: add to the file that is there; overwrite: replace it; keep: generations of it\n"
      "derived_masks: folder for derived masks; None: out's name with -masks\n"
      "roi: a mask of where to look in all pictures\n"
      "max_size: bytes that the bank's file may take\n"
      "backbone: a Backbone, or its file; None: $NAGL_BACKBONE\n"
      "progress: is called with (stage, done, total)\n"
      "others: as the command line's options of the same names (nagl enroll --help)\n\n"
      "Raises ConfigError, DataError, ModelError or DeviceError; a file is then as it was.");
  module.def(
      "calibrate", calibrate, nb::arg("bank").none(), nb::arg("options"),
      nb::sig(
          fmt::format(
              "def calibrate(bank: Bank | Path, *, normal: Path | "
              "Sequence[Path] = (), abnormal: Path | Sequence[Path] = (), "
              "false_alarm_rate: float = {}, best_f1: bool = False, keep: "
              "int = {}, {}, {}, {}, progress: Progress | None = None) -> dict[str, typing.Any]",
              CalibrationOptions().false_alarm_rate, jobs::kKeptGenerations, kBackbone, kEncoding,
              kRuntime)
              .c_str()),
      "Chooses thresholds for a bank, so that a Detector gives verdicts and regions, as\n`nagl "
      "calibrate` does.\n\n"
      "bank: its file, which gets them, or a Bank, which gets them alone\n"
      "normal, abnormal: good pictures and known defects, files and folders; by default the "
      "bank's own\n"
      "false_alarm_rate: share of good pictures that may be called anomalous\n"
      "best_f1: rather the threshold that tells defects from good pictures best\n\n"
      "Returns what `nagl calibrate --json` prints: image_threshold, map_threshold, ...");
}

}  // namespace nagl::python
