#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "nagl/image/image.h"
#include "runtime_options.h"

namespace nagl::apps {

/// What `nagl score` was asked to do.
struct ScoreArguments {
  std::vector<std::filesystem::path> normal, abnormal, queries;
  std::filesystem::path masks, roi, out, model;
  std::size_t normal_shots = 0, abnormal_shots = 0;  ///< 0: all
  std::string method = "normal_nn";
  std::string scale = "references";
  std::string map_format = "png";
  bool json = false, overwrite = false, no_overlays = false;
  DecodeOptions decode;
  RuntimeOptions runtime;
};

/// Does it. @return the exit code
int run_score(const ScoreArguments& arguments);

}  // namespace nagl::apps
