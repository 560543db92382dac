#pragma once

#include <filesystem>
#include <vector>

#include "nagl/detection/calibration.h"
#include "nagl/jobs/bank_change.h"
#include "nagl/jobs/observer.h"
#include "nagl/jobs/requests.h"
#include "nagl/jobs/runtime.h"

namespace nagl::jobs {

/// A bank's file, and pictures to choose its thresholds by.
struct CalibrateOptions {
  std::filesystem::path bank;
  std::vector<std::filesystem::path> normal;    ///< files and folders; empty: the bank's own
  std::vector<std::filesystem::path> abnormal;  ///< known defects
  CalibrationOptions calibration;
  std::size_t keep = kKeptGenerations;  ///< generations of the file
  EncodingRequest encoding;             ///< must agree with the bank; its precision may be another
  RuntimeOptions runtime;
};

/// Chooses thresholds and writes them into the bank's file.
/// @throws Error naming what is wrong; the file is then as it was
Calibration calibrate(const CalibrateOptions& options, const JobObserver& observer = {});

}  // namespace nagl::jobs
