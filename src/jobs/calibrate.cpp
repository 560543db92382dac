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

}  // namespace

Calibration calibrate(const CalibrateOptions& options, const JobObserver& observer) {
  options.calibration.check();
  const CalibrationPictures pictures{pictures_of(options.normal, observer),
                                     pictures_of(options.abnormal, observer)};
  const FileLock lock = FileLock::on_file(options.bank, "changing the bank");
  AtomicFile probe(options.bank);  // never committed: what cannot be written is said at once
  Bank bank = load_bank(options.bank, device_of(options.runtime));
  BankRequest request;
  request.encoding = options.encoding;
  const PictureEncoder encoder =
      encoder_for(options.bank, bank, request, options.runtime, observer);
  CalibrationFindings findings;
  bank.calibration = nagl::calibrate(
      encoder.shared_backbone(), bank, pictures, options.calibration, encoder.batch_size(),
      [&](std::int64_t done, std::int64_t total) {
        if (observer.stopped()) throw Error("interrupted; the bank is as it was");
        observer.advance("calibrating", done, total);
      },
      &findings);
  const PastedRecall recall = pasted_recall(encoder.shared_backbone(), bank, encoder.batch_size(),
                                            [&](std::int64_t done, std::int64_t total) {
                                              if (observer.stopped())
                                                throw Error("interrupted; the bank is as it was");
                                              observer.advance("pasting defects", done, total);
                                            });
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
  save_change(options.bank, bank, encoder.backbone(), "calibrate", options.keep);
  return *bank.shown_calibration();
}

}  // namespace nagl::jobs
