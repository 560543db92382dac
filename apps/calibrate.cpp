#include <fmt/format.h>
#include <fmt/ostream.h>
#include <spdlog/spdlog.h>

#include <iostream>

#include "calibrate_arguments.h"
#include "exit_code.h"
#include "nagl/core/atomic_file.h"
#include "nagl/core/error.h"
#include "nagl/core/options.h"
#include "nagl/core/progress.h"
#include "nagl/dataset/pictures.h"
#include "nagl/detection/bank.h"
#include "references.h"

namespace nagl::apps {
namespace {

std::vector<std::filesystem::path> pictures_of(const std::vector<std::filesystem::path>& paths) {
  std::vector<std::filesystem::path> pictures;
  if (paths.empty()) return pictures;
  for (const auto& file : choose_references(paths, 0)) pictures.push_back(file.path);
  return pictures;
}

}  // namespace

int run_calibrate(const CalibrateArguments& arguments) {
  CalibrationOptions options = arguments.options;
  if (arguments.best_f1) options.rule = ThresholdRule::kBestF1;
  options.check();
  const CalibrationPictures pictures{pictures_of(arguments.normal),
                                     pictures_of(arguments.abnormal)};
  if (arguments.best_f1 && pictures.abnormal.empty()) {
    throw ConfigError("--best-f1 needs pictures of defects; give --abnormal");
  }
  AtomicFile probe(arguments.bank);  // never committed: what cannot be written is said at once
  Bank bank = load_bank(arguments.bank, parse_device(arguments.runtime.device));
  const Runtime runtime = start_runtime_for(arguments.bank, bank, {}, arguments.runtime);
  const std::size_t good = pictures.normal.empty() ? bank.normal.size() : pictures.normal.size();
  Progress progress("calibrating", static_cast<std::int64_t>(good + pictures.abnormal.size()));
  std::int64_t done = 0;
  std::vector<std::filesystem::path> left_aside;
  const Calibration calibration = calibrate(
      runtime.backbone, bank, pictures, options, runtime.batch_size,
      [&](const Image&) { progress.update(done++); }, &left_aside);
  progress.clear();
  for (const auto& path : left_aside) {
    spdlog::warn(
        "'{}' is the bank's only picture of a defect: scored against itself it would say nothing, "
        "so it does not count",
        path.string());
  }
  bank.calibration = calibration;
  save_bank(arguments.bank, bank, *runtime.backbone);
  if (arguments.json) {
    std::cout << dump_json(option_to_json(calibration), 2) << "\n";
  } else {
    fmt::print(std::cout,
               "{}: anomalous above an image score of {:.4f}; regions above {:.4f} of the map\n",
               arguments.bank.string(), calibration.image_threshold, calibration.map_threshold);
    for (const auto& sentence : trust_in(calibration)) {
      fmt::print(std::cout, "  {}\n", sentence);
    }
  }
  return kSuccess;
}

}  // namespace nagl::apps
