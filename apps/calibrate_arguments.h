#pragma once

#include <filesystem>
#include <vector>

#include "nagl/detection/calibration.h"
#include "runtime_options.h"

namespace nagl::apps {

/// What `nagl calibrate` was asked to do.
struct CalibrateArguments {
  std::filesystem::path bank;
  std::vector<std::filesystem::path> normal, abnormal;
  CalibrationOptions options;
  bool best_f1 = false, json = false;
  RuntimeOptions runtime;
};

/// Does it. @return the exit code
int run_calibrate(const CalibrateArguments& arguments);

}  // namespace nagl::apps
