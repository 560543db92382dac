#include "nagl/jobs/experiment.h"

#include "nagl/core/error.h"

namespace nagl::jobs {
namespace {

/// Moves what nagl 0.1 had at the top and under `pictures` to where it stands now.
Json with_present_names(Json values) {
  if (!values.is_object()) return values;
  Json encoding = values.value("encoding", Json::object());
  if (!encoding.is_object()) return values;
  const auto move = [&](Json& from, const char* key, Json& to) {
    if (!from.is_object() || !from.contains(key)) return;
    if (!to.contains(key)) to[key] = from[key];
    from.erase(key);
  };
  move(values, "layer", encoding);
  move(values, "precision", encoding);
  if (values.contains("pictures") && values["pictures"].is_object()) {
    Json& pictures = values["pictures"];
    move(pictures, "image_size", encoding);
    move(pictures, "mask_alignment", encoding);
    if (pictures.contains("bit_depth")) move(pictures, "bit_depth", encoding["decode"]);
    if (pictures.empty()) values.erase("pictures");
  }
  if (!encoding.empty()) values["encoding"] = encoding;
  return values;
}

}  // namespace

void TrainOptions::check() const {
  if (data.empty()) throw ConfigError("no source to train on; give --data");
  encoding.check();
  if (encoding.tiling.tile != 0) {
    throw ConfigError("encoding.tiling.tile: trainings take whole pictures; tiles are for targets");
  }
  head.check();
  episodes.check();
  trainer.check();
  validation.check();
}

std::filesystem::path plain_path(const std::filesystem::path& path) {
  const std::filesystem::path plain = std::filesystem::absolute(path).lexically_normal();
  return plain.has_filename() ? plain : plain.parent_path();
}

void set_options(ExperimentOptions& experiment, const Json& values) {
  option_from_json(experiment, with_present_names(values));
}

void set_options(TrainOptions& training, const Json& values) {
  option_from_json(training, with_present_names(values));
}

void read_config_file(ExperimentOptions& experiment, const std::filesystem::path& config) {
  if (!config.empty()) set_options(experiment, read_config(config));
}

void apply_settings(ExperimentOptions& experiment, const std::vector<std::string>& settings) {
  for (const auto& setting : settings) set_options(experiment, parse_assignment(setting));
}

}  // namespace nagl::jobs
