#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "reference_options.h"
#include "runtime_options.h"

namespace nagl::apps {

/// What `nagl score` was asked to do.
struct ScoreArguments {
  ReferenceArguments references;
  std::vector<std::filesystem::path> queries;  ///< `-`: a list of paths on standard input
  std::filesystem::path bank, watch, roi, out;
  double settle = 1;  ///< seconds that a watched file must not have changed
  std::string scale = "references";
  std::string map_format = "png";
  bool json = false, overwrite = false, no_overlays = false, no_report = false, sorted = false,
       fail_on_anomaly = false;
  RuntimeOptions runtime;

  /// Whether pictures come one after the other, nobody knows how many.
  bool streams() const { return !watch.empty() || (queries.size() == 1 && queries.front() == "-"); }
};

/// Does it. @return the exit code
int run_score(const ScoreArguments& arguments);

}  // namespace nagl::apps
