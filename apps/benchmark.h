#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "nagl/core/image_size.h"
#include "nagl/core/json.h"
#include "nagl/model/backbone.h"
#include "nagl/model/reference_bank.h"
#include "runtime_options.h"

namespace nagl::apps {

struct BenchmarkArguments {
  RuntimeOptions runtime;
  std::int64_t normal_shots = 4;
  std::int64_t abnormal_shots = 1;
  bool random_weights = false;
  double seconds = 20;
  std::int64_t rounds = 0;
  std::vector<std::string> parts;
  std::string picture;
  bool json = false;
};

/// What is measured: a backbone, references, and a head.
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

/// The parts that need pictures: decoding, resizing, map, and the whole from file to map. A build
/// of the engine alone has none.
std::vector<BenchmarkPart> picture_parts(const BenchmarkSubject& subject);

/// Episodes a second of training from a warm feature store, on features made up.
double training_rate(const BenchmarkSubject& subject, std::int64_t normal_shots);

/// `nagl benchmark`.
int run_benchmark(const BenchmarkArguments& arguments);

}  // namespace nagl::apps
