#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "nagl/core/image_size.h"
#include "nagl/core/json.h"
#include "nagl/jobs/observer.h"
#include "nagl/jobs/runtime.h"
#include "nagl/model/backbone.h"
#include "nagl/model/reference_bank.h"

namespace nagl::jobs {

/// What is measured, and for how long.
struct BenchmarkOptions {
  RuntimeOptions runtime;
  std::optional<std::int64_t> layer;
  Precision precision = Precision::kFloat32;
  ImageSize image_size;
  std::int64_t normal_shots = 4;    ///< references of the query
  std::int64_t abnormal_shots = 1;  ///< of defects
  bool random_weights = false;      ///< no backbone file is read
  double seconds = 20;              ///< for the parts; there are at least 5 rounds
  std::int64_t rounds = 0;          ///< exactly so many, whatever they take; 0: by `seconds`
  std::vector<std::string> parts;   ///< only these; empty: all
  std::string picture;              ///< a file that is decoded; empty: one is made
};

/// What the parts work on: a backbone, references, and a head.
struct BenchmarkSubject {
  std::shared_ptr<const Backbone> backbone;
  ImageSize image_size;
  PatchGrid grid;
  ReferenceFeatures references;
  NaglHead head{nullptr};
  std::string picture;  ///< a file; empty: one is made
};

/// Something whose time is taken. Parts are taken in turn, round after round, so that what the
/// machine does beside is shared by all.
struct BenchmarkPart {
  std::string name;
  std::string meaning;
  std::function<void()> run;
  double operations = 0;  ///< floating-point; 0: not counted
};

/// Makes parts beyond those of the engine.
using BenchmarkParts = std::function<std::vector<BenchmarkPart>(const BenchmarkSubject&)>;

/// What was measured.
struct BenchmarkResult {
  /// Device, versions, for each part its times and rates, batches, training, memory.
  Json all;
  std::string backbone;  ///< in words
  /// The parts in their order, each with what it is.
  std::vector<std::pair<std::string, std::string>> parts;
};

/// Measures the parts of a query and the whole, batches, training, memory, and how much of the
/// processor's matrix products is reached. Times are medians, after a warm-up.
/// @param more parts beside those of the engine, e.g. `picture_parts`; may be empty
/// @throws ConfigError naming a part that there is not; Error if it was stopped
BenchmarkResult benchmark(const BenchmarkOptions& options, const BenchmarkParts& more,
                          const JobObserver& observer = {});

/// Episodes a second of training from a warm feature store, on features made up.
double training_rate(const BenchmarkSubject& subject, std::int64_t normal_shots);

/// The parts that need pictures: decoding, resizing, map, overlay, and the whole from file to map.
/// A build of the engine alone does not have them.
std::vector<BenchmarkPart> picture_parts(const BenchmarkSubject& subject);

}  // namespace nagl::jobs
