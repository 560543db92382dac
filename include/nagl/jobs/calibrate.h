#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
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

/// The same for a bank in memory, which gets them. Of the options the pictures count, and how
/// thresholds are chosen.
/// @param batch_size views a backbone pass
/// @throws Error naming what is wrong; the bank is then as it was
Calibration calibrate(Bank& bank, const std::shared_ptr<const Backbone>& backbone,
                      std::int64_t batch_size, const CalibrateOptions& options,
                      const JobObserver& observer = {});

}  // namespace nagl::jobs
