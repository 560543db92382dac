#include "nagl/jobs/calibrate.h"

#include <fmt/format.h>

#include "nagl/core/atomic_file.h"
#include "nagl/core/device.h"
#include "nagl/core/error.h"
#include "nagl/core/file_lock.h"
#include "nagl/dataset/pictures.h"
#include "nagl/detection/bank.h"
#include "nagl/detection/calibrator.h"
#include "nagl/detection/pasted_recall.h"
#include "nagl/jobs/bank_preparation.h"

namespace nagl::jobs {
namespace {

namespace fs = std::filesystem;

std::vector<fs::path> pictures_of(const std::vector<fs::path>& paths, const JobObserver& observer) {
  std::vector<fs::path> pictures;
  if (paths.empty()) return pictures;
  std::vector<PictureFile> masks;
  for (const auto& file : choose_references(paths, 0, &masks)) pictures.push_back(file.path);
  tell_masks_left_out(masks, false, observer);
  return pictures;
}

CalibrationPictures pictures_of(const CalibrateOptions& options, const JobObserver& observer) {
  return {pictures_of(options.normal, observer), pictures_of(options.abnormal, observer)};
}

/// @param bank a copy, which the pasted defects are tried on with the thresholds found
Calibration calibration_of(Bank bank, const std::shared_ptr<const Backbone>& backbone,
                           std::int64_t batch_size, const CalibrationPictures& pictures,
                           const CalibrationOptions& options, const JobObserver& observer) {
  CalibrationFindings findings;
  const auto step = [&](const char* stage) {
    return [&observer, stage](std::int64_t done, std::int64_t total) {
      if (observer.stopped()) throw Error("interrupted; the bank is as it was");
      observer.advance(stage, done, total);
    };
  };
  bank.calibration = nagl::calibrate(backbone, bank, pictures, options, batch_size,
                                     step("calibrating"), &findings);
  const PastedRecall recall = pasted_recall(backbone, bank, batch_size, step("pasting defects"));
  bank.calibration->pasted = recall.pasted;
  bank.calibration->pasted_found = recall.found;
  for (const auto& path : findings.left_aside) {
    observer.warn(fmt::format(
        "'{}' is the bank's only picture of a defect: scored against itself it would say nothing, "
        "so it does not count",
        path.string()));
  }
  if (!findings.copies.empty()) {
    const auto& [copy, first] = findings.copies.front();
    observer.warn(fmt::format("'{}' is the same shot as '{}', saved again, and does not count{}",
                              copy.string(), first.string(),
                              findings.copies.size() == 1
                                  ? ""
                                  : fmt::format("; so are {} others", findings.copies.size() - 1)));
  }
  return *bank.calibration;
}

}  // namespace

Calibration calibrate(const CalibrateOptions& options, const JobObserver& observer) {
  options.calibration.check();
  const CalibrationPictures pictures = pictures_of(options, observer);
  const FileLock lock = FileLock::on_file(options.bank, "changing the bank");
  AtomicFile probe(options.bank);  // never committed: what cannot be written is said at once
  Bank bank = load_bank(options.bank, device_of(options.runtime));
  BankRequest request;
  request.encoding = options.encoding;
  const PictureEncoder encoder =
      encoder_for(options.bank, bank, request, options.runtime, observer);
  bank.calibration = calibration_of(bank, encoder.shared_backbone(), encoder.batch_size(), pictures,
                                    options.calibration, observer);
  save_change(options.bank, bank, encoder.backbone(), "calibrate", options.keep);
  return *bank.shown_calibration();
}

Calibration calibrate(Bank& bank, const std::shared_ptr<const Backbone>& backbone,
                      std::int64_t batch_size, const CalibrateOptions& options,
                      const JobObserver& observer) {
  options.calibration.check();
  bank.calibration = calibration_of(bank, backbone, batch_size, pictures_of(options, observer),
                                    options.calibration, observer);
  return *bank.shown_calibration();
}

}  // namespace nagl::jobs
