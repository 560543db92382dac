#include "nagl/jobs/benchmark.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <torch/version.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <optional>
#include <set>

#include "nagl/core/device.h"
#include "nagl/core/duration.h"
#include "nagl/core/error.h"
#include "nagl/core/memory.h"
#include "nagl/core/quantile.h"
#include "nagl/core/version.h"
#include "nagl/nn/frozen_linear.h"
#include "nagl/nn/nearest_neighbor.h"

namespace nagl::jobs {
namespace {

constexpr int kWarmUps = 3;
constexpr std::size_t kLeastRounds = 5;
constexpr double kPublishedEpisodes = 20 * 500;  // of a training by the published recipe
constexpr const char* kThroughput = "throughput";
constexpr const char* kTraining = "training";

/// Seconds that `run` takes, all that it asks of the device included.
double time_of(const std::function<void()>& run, at::Device device) {
  const Stopwatch watch;
  run();
  synchronize(device);
  return watch.seconds();
}

/// Pictures that no two patches of which are alike, as the backbone takes them.
at::Tensor made_up_pictures(std::int64_t count, ImageSize size, at::Device device) {
  return torch::randn({count, 3, size.height, size.width}).to(device);
}

BackboneRequest backbone_of(const BenchmarkOptions& options, bool graphs = true) {
  return {options.layer, options.precision, options.random_weights, graphs};
}

BenchmarkSubject make_subject(const BenchmarkOptions& options, const JobObserver& observer) {
  BenchmarkSubject subject;
  subject.image_size = options.image_size;
  subject.backbone = load_backbone(options.runtime, backbone_of(options), observer);
  const Backbone& backbone = *subject.backbone;
  const auto [height, width] = subject.image_size;
  backbone.check_image_size(height, width);
  subject.grid = {height / backbone.patch(), width / backbone.patch()};
  subject.picture = options.picture;
  at::manual_seed(0);
  NaglHeadOptions head;
  head.width = backbone.width();
  head.check();
  subject.head = NaglHead(head);
  subject.head->initialize(0);
  subject.head->to(backbone.device());
  const auto encode = [&](std::int64_t count) {
    std::vector<at::Tensor> features;
    for (std::int64_t i = 0; i < count; ++i) {
      features.push_back(backbone.encode(made_up_pictures(1, subject.image_size, at::kCPU)));
    }
    return at::cat(features);
  };
  // Of each abnormal reference a twentieth shows the defect.
  const std::int64_t patches = subject.grid.size();
  const at::Tensor mask = at::zeros({options.abnormal_shots, patches}, at::kBool);
  mask.slice(1, patches / 2, patches / 2 + std::max<std::int64_t>(1, patches / 20)).fill_(true);
  subject.references =
      ReferenceFeatures::of_pictures(encode(options.normal_shots), encode(options.abnormal_shots),
                                     mask.to(backbone.device()), subject.grid);
  return subject;
}

/// A product of square matrices, for what the processor can do at all.
std::vector<BenchmarkPart> matrix_parts(const Backbone& backbone) {
  const std::int64_t side = backbone.device().is_cpu() ? 2048 : 8192;
  const auto options =
      at::TensorOptions().device(backbone.device()).dtype(scalar_type(backbone.precision()));
  const at::Tensor a = torch::randn({side, side}, options), b = torch::randn({side, side}, options);
  torch::nn::Linear layer(side, side);
  layer->to(backbone.device(), scalar_type(backbone.precision()));
  const auto frozen = std::make_shared<FrozenLinear>(layer);
  const auto operations = 2 * std::pow(static_cast<double>(side), 3);
  return {{"matrix_product", fmt::format("{0} x {0}, Torch's own", side), [a, b] { at::mm(a, b); },
           operations},
          {"packed_product", fmt::format("{0} x {0}, as the backbone's layers", side),
           [a, frozen] { frozen->forward(a); }, operations}};
}

std::vector<BenchmarkPart> engine_parts(const BenchmarkSubject& subject,
                                        const BenchmarkOptions& options,
                                        const JobObserver& observer) {
  const auto backbone = subject.backbone;
  const at::Device device = backbone->device();
  const auto bank = std::make_shared<ReferenceBank>(subject.references, subject.head, subject.grid,
                                                    backbone->precision());
  const auto unrecorded = std::make_shared<const ReferenceBank>(*bank);
  bank->record_scoring();
  const at::Tensor picture = made_up_pictures(1, subject.image_size, device);
  const at::Tensor features = backbone->encode(picture);
  const auto rows = std::make_shared<const NeighborRows>(
      subject.references.normal, backbone->precision() != Precision::kFloat32);
  const auto found = nearest_neighbors(features[0], *rows);
  QueryPatches query;
  query.features = features;
  query.residuals = features - rows->rows.index_select(0, found.index).unsqueeze(0);
  query.normal_cosine = found.max_cosine.unsqueeze(0);
  query.grid = subject.grid;
  query.positions = position_encoding(subject.grid, backbone->width()).to(device);
  const at::Tensor proxies =
      torch::randn({1, subject.head->options().proxies, backbone->width()}).to(device);
  using SharedBank = std::shared_ptr<const ReferenceBank>;
  const auto whole = [picture](const std::shared_ptr<const Backbone>& by, const SharedBank& bank,
                               Method method) {
    image_score(bank->score(by->encode(picture), method)[0].to(at::kCPU));
  };
  const double patches = static_cast<double>(subject.grid.size());
  const double compared = 2 * patches * static_cast<double>(rows->size() * backbone->width());
  const double passed = backbone->operations(subject.image_size.height, subject.image_size.width);

  auto parts = matrix_parts(*backbone);
  parts.push_back(
      {"backbone", "the picture's patch features", [=] { backbone->encode(picture); }, passed});
  parts.push_back({"neighbors", fmt::format("nearest of {} normal patches", rows->size()),
                   [=] { nearest_neighbors(features[0], *rows); }, compared});
  parts.push_back({"afl", "what the head learns of the query, and its score",
                   [=, head = subject.head]() mutable {
                     mean_cosine(query.features, head->learn(proxies, query));
                   },
                   0});
  parts.push_back({"query", "from tensor to patch scores and image score, method nagl",
                   [=] { whole(backbone, bank, Method::kNagl); }, passed + compared});
  parts.push_back({"query_normal_nn", "the same, method normal_nn",
                   [=] { whole(backbone, bank, Method::kNormalNn); }, passed + compared});
  for (const bool turned : {false, true}) {
    ReferenceFeatures references = subject.references;
    if (turned) {
      // Other rows in the place of turned copies: their number is what takes time.
      references.normal = at::cat({references.normal, references.normal.roll(1, 1),
                                   references.normal.roll(2, 1), references.normal.roll(3, 1)});
      for (auto& count : references.normal_rows) count *= 4;
    }
    const auto own = std::make_shared<ReferenceBank>(references, nullptr, subject.grid,
                                                     backbone->precision(), DiscriminantOptions());
    own->record_scoring();
    const double rows =
        static_cast<double>(references.normal.size(0) + references.surroundings.size(0));
    parts.push_back(
        {turned ? "query_discriminant_turned" : "query_discriminant",
         turned ? "the same, with normal references at 4 angles" : "the same, method discriminant",
         [own, picture, backbone] {
           image_score(
               own->score(backbone->encode(picture), Method::kDiscriminant)[0].to(at::kCPU));
         },
         passed + 2 * patches * rows * static_cast<double>(backbone->width())});
  }
  if (device.is_cuda()) {
    const auto eager =
        load_backbone(options.runtime, backbone_of(options, /*graphs=*/false), observer);
    parts.push_back({"backbone_no_graph", "each kernel launched by itself",
                     [=] { eager->encode(picture); }, passed});
    parts.push_back({"query_no_graph", "each kernel launched by itself",
                     [=] { whole(eager, unrecorded, Method::kNagl); }, passed + compared});
  }
  return parts;
}

/// One run of the benchmark.
class Benchmark {
 public:
  Benchmark(const BenchmarkOptions& options, const JobObserver& observer)
      : options_(options), observer_(observer) {}

  BenchmarkResult run(const BenchmarkParts& more) {
    configure_numerics();
    set_threads(options_.runtime);
    const c10::InferenceMode guard;
    subject_ = make_subject(options_, observer_);
    parts_ = engine_parts(subject_, options_, observer_);
    if (more) {
      for (auto& part : more(subject_)) parts_.push_back(std::move(part));
    }
    choose();
    reset_peak_device_memory(device());
    time_parts();
    if (wanted(kThroughput)) time_batches();
    if (wanted(kTraining)) {
      const c10::InferenceMode training(false);
      training_ = training_rate(subject_, options_.normal_shots);
    }
    BenchmarkResult result;
    result.all = describe();
    result.backbone = subject_.backbone->describe();
    for (const auto& part : parts_) result.parts.emplace_back(part.name, part.meaning);
    return result;
  }

 private:
  at::Device device() const { return subject_.backbone->device(); }

  bool wanted(const std::string& name) const {
    const auto& names = options_.parts;
    return names.empty() || std::find(names.begin(), names.end(), name) != names.end();
  }

  void choose() {
    std::set<std::string> known = {kThroughput, kTraining};
    for (const auto& part : parts_) known.insert(part.name);
    for (const auto& name : options_.parts) {
      if (!known.contains(name)) {
        throw ConfigError(
            fmt::format("there is no part '{}'; there are {}", name, fmt::join(known, ", ")));
      }
    }
    std::erase_if(parts_, [&](const BenchmarkPart& part) { return !wanted(part.name); });
  }

  void check_stop() const {
    if (observer_.stopped())
      throw Error("interrupted; a measurement that is not whole is not shown");
  }

  void time_parts() {
    if (parts_.empty()) return;
    double round_seconds = 0;
    for (int i = 0; i < kWarmUps; ++i) {
      const Stopwatch watch;
      for (const auto& part : parts_) {
        time_of(part.run, device());
        check_stop();
      }
      round_seconds = watch.seconds();
    }
    const auto fitting = static_cast<std::size_t>(options_.seconds / round_seconds);
    const std::size_t rounds = options_.rounds > 0 ? static_cast<std::size_t>(options_.rounds)
                                                   : std::max(kLeastRounds, fitting);
    observer_.advance("measuring, round", 0, static_cast<std::int64_t>(rounds));
    for (std::size_t round = 0; round < rounds; ++round) {
      for (const auto& part : parts_) {
        times_[part.name].push_back(time_of(part.run, device()));
        check_stop();
      }
      observer_.advance("measuring, round", static_cast<std::int64_t>(round + 1),
                        static_cast<std::int64_t>(rounds));
    }
  }

  /// Pictures a second, from tensors in memory to patch scores, at growing batches.
  void time_batches() {
    constexpr std::size_t kRepeats = 5;
    ReferenceBank bank(subject_.references, subject_.head, subject_.grid,
                       subject_.backbone->precision());
    bank.record_scoring();
    std::vector<std::int64_t> batches;
    const std::int64_t given = options_.runtime.batch_size;
    for (std::int64_t n = 1; n <= (device().is_cpu() ? 8 : 256); n *= 2) batches.push_back(n);
    if (given > 0) batches = {given};
    const auto count = static_cast<std::int64_t>(batches.size());
    observer_.advance("measuring, batch", 0, count);
    for (const auto batch : batches) try {
        const at::Tensor pictures = made_up_pictures(batch, subject_.image_size, device());
        const auto pass = [&] {
          bank.score(subject_.backbone->encode(pictures), Method::kNagl).to(at::kCPU);
        };
        std::vector<double> times, backbone_times;
        time_of(pass, device());
        time_of(pass, device());  // the second may record a graph
        for (std::size_t i = 0; i < kRepeats; ++i) {
          times.push_back(time_of(pass, device()));
          backbone_times.push_back(time_of([&] { subject_.backbone->encode(pictures); }, device()));
          check_stop();
        }
        batches_.push_back({batch, static_cast<double>(batch) / median(times),
                            static_cast<double>(batch) / median(backbone_times)});
        observer_.advance("measuring, batch", static_cast<std::int64_t>(batches_.size()), count);
      } catch (const c10::Error& error) {
        if (batches_.empty() || !is_out_of_memory(error)) throw;
        break;
      }
  }

  std::optional<double> median_of(const std::string& name) const {
    const auto found = times_.find(name);
    if (found == times_.end()) return std::nullopt;
    return median(found->second);
  }

  /// The larger rate of the two products, in GFLOP/s.
  std::optional<double> matrix_rate() const {
    std::optional<double> rate;
    for (const auto& part : parts_) {
      if (part.name != "matrix_product" && part.name != "packed_product") continue;
      rate = std::max(rate.value_or(0), part.operations / *median_of(part.name) / 1e9);
    }
    return rate;
  }

  Json describe() const {
    const Backbone& backbone = *subject_.backbone;
    Json all = describe_backbone(backbone);
    all["versions"] = {{"nagl", version()}, {"torch", TORCH_VERSION}};
    all["image_size"] = {subject_.image_size.height, subject_.image_size.width};
    all["normal_shots"] = options_.normal_shots;
    all["abnormal_shots"] = options_.abnormal_shots;
    std::int64_t head = 0;
    for (const auto& parameter : subject_.head->parameters()) head += parameter.numel();
    all["parameters"] = {{"backbone", backbone.used_parameters()}, {"head", head}};
    const auto rate = matrix_rate();
    Json& parts = all["parts"] = Json::object();
    for (const auto& part : parts_) {
      const auto& times = times_.at(part.name);
      Json& entry = parts[part.name];
      entry = {{"median_ms", 1e3 * median(times)},
               {"p95_ms", 1e3 * quantile(times, 0.95)},
               {"least_ms", 1e3 * quantile(times, 0)},
               {"rounds", times.size()}};
      if (part.operations == 0) continue;
      const double achieved = part.operations / median(times) / 1e9;
      entry["gflop"] = part.operations / 1e9;
      entry["gflop_per_second"] = achieved;
      if (rate) entry["share_of_matrix_product"] = achieved / *rate;
    }
    const auto alone = median_of("backbone");
    for (const char* name :
         {"query", "query_normal_nn", "query_discriminant", "query_discriminant_turned"}) {
      if (const auto time = median_of(name); time && alone) {
        all["ratios"][std::string(name) + "_over_backbone"] = *time / *alone;
      }
    }
    if (rate) all["matrix_product_gflop_per_second"] = *rate;
    for (const auto& batch : batches_) {
      Json entry = {{"batch", batch.size},
                    {"pictures_per_second", batch.rate},
                    {"backbone_pictures_per_second", batch.backbone_rate},
                    {"backbone_gflop_per_second", backbone_gflops(batch)}};
      if (rate) entry["backbone_share_of_matrix_product"] = backbone_gflops(batch) / *rate;
      all["throughput"].push_back(std::move(entry));
    }
    if (!batches_.empty()) all["best_batch"] = best_batch().size;
    if (training_) {
      all["training_episodes_per_second"] = *training_;
      all["training_20x500_seconds"] = kPublishedEpisodes / *training_;
    }
    if (device().is_cuda()) {
      const GraphCounts graphs = backbone.graph_counts();
      all["graphs"] = {
          {"recorded", graphs.recorded}, {"replayed", graphs.replayed}, {"failed", graphs.failed}};
    }
    all["peak_memory_mib"] = peak_memory_mib();
    if (const auto held = peak_device_memory_mib(device())) all["peak_device_memory_mib"] = *held;
    return all;
  }

  struct Batch {
    std::int64_t size;
    double rate, backbone_rate;  ///< pictures a second
  };

  const Batch& best_batch() const {
    return *std::max_element(batches_.begin(), batches_.end(),
                             [](const Batch& a, const Batch& b) { return a.rate < b.rate; });
  }

  double backbone_gflops(const Batch& batch) const {
    return batch.backbone_rate *
           subject_.backbone->operations(subject_.image_size.height, subject_.image_size.width) /
           1e9;
  }

  const BenchmarkOptions& options_;
  const JobObserver& observer_;
  BenchmarkSubject subject_;
  std::vector<BenchmarkPart> parts_;
  std::map<std::string, std::vector<double>> times_;  ///< seconds
  std::vector<Batch> batches_;
  std::optional<double> training_;
};

}  // namespace

BenchmarkResult benchmark(const BenchmarkOptions& options, const BenchmarkParts& more,
                          const JobObserver& observer) {
  return Benchmark(options, observer).run(more);
}

}  // namespace nagl::jobs
