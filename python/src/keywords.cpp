#include "keywords.h"

#include <utility>

#include "nagl/core/error.h"

namespace nagl::python {

bool is_path(nb::handle given) {
  return nb::isinstance<nb::str>(given) || nb::hasattr(given, "__fspath__");
}

Keywords::Keywords(const nb::kwargs& given) { left_.update(given); }

nb::object Keywords::pop(const char* name) { return left_.attr("pop")(name, nb::none()); }

void Keywords::finish() const {
  for (const auto& [name, value] : left_) {
    throw nb::type_error(
        fmt::format("there is no option '{}' here", nb::cast<std::string>(nb::str(name))).c_str());
  }
}

void Keywords::refuse(const char* name, nb::handle given, const std::string& expected) {
  throw nb::type_error(
      fmt::format("{}: expected {}, not {}", name, expected, nb::type_name(given.type()).c_str())
          .c_str());
}

void Keywords::read(const char* name, nb::handle given, bool& field) {
  cast(name, given, field, "True or False");
}

void Keywords::read(const char* name, nb::handle given, int& field) {
  cast(name, given, field, "a whole number");
}

void Keywords::read(const char* name, nb::handle given, std::int64_t& field) {
  cast(name, given, field, "a whole number");
}

void Keywords::read(const char* name, nb::handle given, std::size_t& field) {
  cast(name, given, field, "a whole number, 0 or above");
}

void Keywords::read(const char* name, nb::handle given, double& field) {
  cast(name, given, field, "a number");
}

void Keywords::read(const char* name, nb::handle given, std::string& field) {
  cast(name, given, field, "a str");
}

void Keywords::read(const char* name, nb::handle given, std::filesystem::path& field) {
  if (!is_path(given)) refuse(name, given, "a path");
  cast(name, given, field, "a path");
}

void Keywords::read(const char* name, nb::handle given, std::vector<std::filesystem::path>& field) {
  if (is_path(given)) {
    read(name, given, field.emplace_back());
  } else {
    cast(name, given, field, "a path, or a sequence of paths");
  }
}

void Keywords::read(const char* name, nb::handle given, std::vector<std::int64_t>& field) {
  if (PyLong_Check(given.ptr()) != 0) {
    read(name, given, field.emplace_back());
  } else {
    cast(name, given, field, "a whole number, or a sequence of them");
  }
}

void Keywords::read(const char* name, nb::handle given, std::vector<std::string>& field) {
  if (nb::isinstance<nb::str>(given)) {
    read(name, given, field.emplace_back());
  } else {
    cast(name, given, field, "a str, or a sequence of them");
  }
}

void Keywords::read(const char* name, nb::handle given, ImageSize& field) {
  std::vector<std::int64_t> sides;
  read(name, given, sides);
  if (sides.empty() || sides.size() > 2) refuse(name, given, "a side, or (height, width)");
  parse(fmt::format("{}x{}", sides.front(), sides.back()), field);
}

void take_runtime(Keywords& keywords, jobs::RuntimeOptions& runtime) {
  keywords.take("device", runtime.device);
  keywords.take("threads", runtime.threads);
  keywords.take("batch_size", runtime.batch_size);
  if (runtime.threads < 0 || runtime.threads > 1024) {
    throw ConfigError("threads must be in 1..1024");
  }
  if (runtime.batch_size < 0 || runtime.batch_size > 4096) {
    throw ConfigError("batch_size must be in 1..4096");
  }
}

void take_encoding(Keywords& keywords, jobs::EncodingRequest& encoding) {
  keywords.take("layer", encoding.layer);
  keywords.take("image_size", encoding.image_size);
  keywords.take("precision", encoding.precision);
  keywords.take("max_pixels", encoding.max_pixels);
}

void take_tiling(Keywords& keywords, jobs::EncodingRequest& encoding) {
  keywords.take("tile", encoding.tile);
  keywords.take("overlap", encoding.overlap);
}

void take_references(Keywords& keywords, jobs::ReferenceRequest& references) {
  std::string turns = "auto";
  keywords.take("augment_references", turns);
  references.automatic_turns = turns == "auto";
  if (turns == "none") {
    references.turns = 1;
  } else if (turns == "rotate") {
    references.turns = 4;
  } else if (turns == "rotate8") {
    references.turns = 8;
  } else if (turns != "auto") {
    throw ConfigError(
        fmt::format("augment_references '{}' is not one of auto, none, rotate, rotate8", turns));
  }
  keywords.take("coreset", references.coreset);
  keywords.take("abnormal_weight", references.abnormal_weight);
  keywords.take("abnormal_surroundings", references.surroundings);
  keywords.take("top_share", references.top_share);
}

void take_bank(Keywords& keywords, jobs::BankRequest& request) {
  take_references(keywords, request.references);
  take_tiling(keywords, request.encoding);
  keywords.take("method", request.method);
  keywords.take("model", request.model);
  keywords.take("bit_depth", request.encoding.bit_depth);
}

std::string bank_signature() {
  return fmt::format(
      "{}, {}, method: str = 'auto', model: Path | None = None, "
      "bit_depth: int | None = None",
      kReferences, kTiling);
}

void take_verdict(Keywords& keywords, jobs::VerdictRequest& verdict) {
  keywords.take("threshold", verdict.threshold);
  keywords.take("map_threshold", verdict.map_threshold);
  keywords.take("uncertain", verdict.uncertain);
  keywords.take("uncertain_threshold", verdict.uncertain_threshold);
  keywords.take("min_area", verdict.least_area);
}

void take_sharding(Keywords& keywords, jobs::ShardRequest& sharding, jobs::RuntimeOptions& runtime,
                   bool merges) {
  std::optional<std::string> shard;
  keywords.take("shard", shard);
  if (shard) {
    sharding.shard = parse_shard(*shard);
    runtime.local_rank = sharding.shard->local_rank;
  }
  keywords.take("lease", sharding.lease);
  if (sharding.lease < 1 || sharding.lease > 86400) {
    throw ConfigError("lease must be in 1..86400 seconds");
  }
  if (merges) keywords.take("merge", sharding.merge);
}

void take_experiment(Keywords& keywords, std::filesystem::path& config,
                     std::vector<std::string>& settings) {
  keywords.take("config", config);
  const nb::object given = keywords.pop("settings");
  if (given.is_none()) return;
  if (PyMapping_Check(given.ptr()) == 0 || !nb::hasattr(given, "items")) {
    Keywords::refuse("settings", given, "a dict, e.g. {'trainer.epochs': 5}");
  }
  const nb::object dumps = nb::module_::import_("json").attr("dumps");
  for (nb::handle item : given.attr("items")()) {
    settings.push_back(fmt::format("{}={}", nb::cast<std::string>(nb::str(nb::object(item[0]))),
                                   nb::cast<std::string>(dumps(item[1]))));
  }
}

}  // namespace nagl::python
