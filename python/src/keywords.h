#pragma once

#include <fmt/format.h>
#include <nanobind/nanobind.h>
#include <nanobind/stl/filesystem.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "nagl/core/enum_names.h"
#include "nagl/core/image_size.h"
#include "nagl/dataset/dataset.h"
#include "nagl/jobs/requests.h"
#include "nagl/jobs/runtime.h"
#include "nagl/jobs/score.h"
#include "nagl/jobs/sharding.h"

namespace nagl::python {

namespace nb = nanobind;

/// Whether this is a path to Python: str, or anything with `__fspath__`.
bool is_path(nb::handle given);

/// Options given by name. Each is put into the field of the job's own struct, whose default stays
/// where nothing, or None, was given.
class Keywords {
 public:
  explicit Keywords(const nb::kwargs& given);

  /// @throws TypeError naming the option and what it takes; ConfigError on an unknown name of an
  ///         enum's
  template <typename T>
  void take(const char* name, T& field) {
    const nb::object given = pop(name);
    if (!given.is_none()) read(name, given, field);
  }
  /// Of a struct's optional field.
  template <typename T>
  void take(const char* name, std::optional<T>& field) {
    const nb::object given = pop(name);
    if (given.is_none()) return;
    T value{};
    read(name, given, value);
    field = value;
  }
  /// As it was given, or None.
  nb::object pop(const char* name);
  /// @throws TypeError naming what is left, which nobody took
  void finish() const;

  [[noreturn]] static void refuse(const char* name, nb::handle given, const std::string& expected);

 private:
  template <typename T>
  static void cast(const char* name, nb::handle given, T& field, const char* expected) {
    if (!nb::try_cast<T>(given, field)) refuse(name, given, expected);
  }
  static void read(const char* name, nb::handle given, bool& field);
  static void read(const char* name, nb::handle given, int& field);
  static void read(const char* name, nb::handle given, std::int64_t& field);
  static void read(const char* name, nb::handle given, std::size_t& field);
  static void read(const char* name, nb::handle given, double& field);
  static void read(const char* name, nb::handle given, std::string& field);
  static void read(const char* name, nb::handle given, std::filesystem::path& field);
  /// One, or a sequence of them.
  static void read(const char* name, nb::handle given, std::vector<std::filesystem::path>& field);
  static void read(const char* name, nb::handle given, std::vector<std::int64_t>& field);
  static void read(const char* name, nb::handle given, std::vector<std::string>& field);
  /// A side, or (height, width).
  static void read(const char* name, nb::handle given, ImageSize& field);
  template <NamedEnum E>
  static void read(const char* name, nb::handle given, E& field) {
    std::string text;
    read(name, given, text);
    parse(text, field);
  }

  nb::dict left_;
};

/// The options that several functions share, as the command line's flags share them; each with
/// what a signature says of it.
void take_runtime(Keywords& keywords, jobs::RuntimeOptions& runtime);
inline constexpr const char* kRuntime =
    "device: str = 'auto', threads: int | None = None, batch_size: int | None = None";

void take_encoding(Keywords& keywords, jobs::EncodingRequest& encoding);
inline constexpr const char* kEncoding =
    "layer: int | None = None, image_size: int | tuple[int, int] | None = None, "
    "precision: str | None = None, max_pixels: int | None = None";

void take_tiling(Keywords& keywords, jobs::EncodingRequest& encoding);
inline constexpr const char* kTiling = "tile: int | None = None, overlap: float | None = None";

void take_references(Keywords& keywords, jobs::ReferenceRequest& references);
inline constexpr const char* kReferences =
    "augment_references: str = 'auto', coreset: float | None = None, "
    "abnormal_weight: float | None = None, abnormal_surroundings: bool | None = None, "
    "top_share: float | None = None";

/// Those of references, tiling and method.
void take_bank(Keywords& keywords, jobs::BankRequest& request);
std::string bank_signature();

void take_verdict(Keywords& keywords, jobs::VerdictRequest& verdict);
inline constexpr const char* kVerdict =
    "threshold: float | None = None, map_threshold: float | None = None, uncertain: bool = False, "
    "uncertain_threshold: float | None = None, min_area: int = 0";

/// @param merges whether the job can be put together from what shards did
void take_sharding(Keywords& keywords, jobs::ShardRequest& sharding, jobs::RuntimeOptions& runtime,
                   bool merges);
inline constexpr const char* kSharding = "shard: str | None = None, lease: float = 60";

/// An experiment's file and settings.
void take_experiment(Keywords& keywords, std::filesystem::path& config,
                     std::vector<std::string>& settings);
inline constexpr const char* kExperiment =
    "config: Path | None = None, settings: Mapping[str, object] | None = None";

}  // namespace nagl::python
