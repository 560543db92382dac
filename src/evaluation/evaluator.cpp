#include "nagl/evaluation/evaluator.h"

#include <ATen/Parallel.h>
#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <opencv2/core.hpp>
#include <opencv2/imgproc.hpp>
#include <set>
#include <utility>

#include "example_keeper.h"
#include "nagl/core/error.h"
#include "nagl/core/read_ahead.h"
#include "nagl/core/sha256.h"
#include "nagl/image/anomaly_map.h"
#include "nagl/metrics/pixel_metrics.h"
#include "query_reader.h"

namespace nagl {
namespace {

namespace fs = std::filesystem;
using Clock = std::chrono::steady_clock;
using Paths = std::vector<fs::path>;

constexpr std::size_t kCurvePoints = 200;

/// Adds the time from its making to its end to a sum.
class Stopwatch {
 public:
  explicit Stopwatch(double& sum) : sum_(sum) {}
  ~Stopwatch() { sum_ += std::chrono::duration<double>(Clock::now() - start_).count(); }
  Stopwatch(const Stopwatch&) = delete;
  Stopwatch& operator=(const Stopwatch&) = delete;

 private:
  double& sum_;
  Clock::time_point start_ = Clock::now();
};

/// What is counted for one method and one set of references.
struct Tally {
  Method method;
  PixelMetrics pixels;
  std::int64_t masked_pictures = 0;  ///< that have pixel truth and a defect
  std::vector<ScoredQuery> queries;
};

/// One choice of references: what queries are scored against, and what came of it.
struct Setting {
  References references;
  std::map<std::string, std::shared_ptr<const ReferenceBank>> banks;  ///< by PlannedQuery::type
  std::vector<std::string> types;               ///< by test picture: the type it is shown
  std::vector<bool> asked;                      ///< by test picture: whether it is a query
  std::vector<Method> methods;                  ///< that can be scored with these references
  std::vector<Method> unscored;                 ///< that cannot, as `references.lacking` says
  std::vector<std::unique_ptr<Tally>> tallies;  ///< by method
};

std::string shots_of(const References& references) {
  return fmt::format("K1 {}, K2 {}, seed {}", references.normal_shots,
                     shots_text(references.abnormal_shots), references.seed);
}

/// A choice of references for each combination of shots and seed.
std::vector<References> all_references(const Category& category, const EvaluationOptions& options,
                                       const ReferenceList* replay,
                                       const std::function<bool(const Sample&)>& usable) {
  std::vector<References> all;
  for (const auto normal_shots : options.normal_shots) {
    for (const auto abnormal_shots : options.abnormal_shots) {
      for (std::int64_t i = 0; i < options.seeds; ++i) {
        const auto seed = static_cast<std::uint64_t>(i);
        all.push_back(replay != nullptr ? replay->find(category, seed, normal_shots, abnormal_shots)
                                        : draw_references(category, options.protocol, seed,
                                                          normal_shots, abnormal_shots, usable));
      }
    }
  }
  return all;
}

/// Everything that scoring one category takes.
class CategoryRun {
 public:
  CategoryRun(const Backbone& backbone, const TrainedHead* head, const DetectorOptions& detection,
              const EvaluationOptions& options, std::int64_t batch_size, const Category& category)
      : backbone_(backbone),
        head_(head),
        detection_(detection),
        options_(options),
        batch_size_(static_cast<std::size_t>(batch_size)),
        category_(category),
        grid_{detection.image_size.height / backbone.patch(),
              detection.image_size.width / backbone.patch()},
        examples_(static_cast<std::size_t>(options.examples)) {}

  std::optional<CategoryResult> run(const ReferenceList* replay, const fs::path& folder,
                                    const EvaluationObserver& observer) {
    {
      const Stopwatch watch(timing_.total);
      choose_references(replay);
      encode_references();
      make_settings();
      if (!score_queries(observer)) return std::nullopt;
    }
    return finish(folder);
  }

 private:
  /// A reference picture; features once it is encoded.
  struct Reference {
    at::Tensor pixels, patch_mask, features;
  };

  Reference& load_reference(const Sample& sample) {
    auto [place, is_new] = references_.try_emplace(sample.path);
    if (!is_new) return place->second;
    const Image image = read_image(sample.path, detection_.decode);
    Reference& reference = place->second;
    if (!sample.anomalous()) {
      reference.pixels = preprocess(image, detection_.image_size);
      return reference;
    }
    auto input = prepare_masked(image, sample.masks, detection_.image_size, backbone_.patch(),
                                detection_.mask_alignment);
    reference.pixels = input.pixels;
    reference.patch_mask = input.patch_mask;
    return reference;
  }

  bool is_usable(const Sample& sample) {
    const bool usable = load_reference(sample).patch_mask.any().item<bool>();
    if (!usable) references_.erase(sample.path);
    return usable;
  }

  void choose_references(const ReferenceList* replay) {
    for (auto& references : all_references(category_, options_, replay, [&](const Sample& sample) {
           return is_usable(sample);
         })) {
      warn_of_few(references);
      settings_.emplace_back().references = std::move(references);
    }
  }

  /// The published slices may run out.
  void warn_of_few(const References& references) {
    const auto few = [&](const Paths& paths, std::int64_t wanted, const std::string& what) {
      if (static_cast<std::int64_t>(paths.size()) >= wanted) return;
      warnings_.push_back(fmt::format("{} {} references are left for {}", paths.size(), what,
                                      shots_of(references)));
    };
    few(references.normal, references.normal_shots, "normal");
    if (options_.protocol != Protocol::kPublished) return;
    for (const auto& [type, paths] : references.abnormal) {
      few(paths, references.abnormal_shots, "abnormal (" + type + ")");
    }
  }

  void encode_references() {
    std::vector<Reference*> waiting;
    const auto flush = [&] {
      if (waiting.empty()) return;
      std::vector<at::Tensor> pixels;
      for (const auto* reference : waiting) pixels.push_back(reference->pixels);
      const at::Tensor features = encode(at::stack(pixels));
      for (std::size_t i = 0; i < waiting.size(); ++i) {
        waiting[i]->features = features[static_cast<std::int64_t>(i)];
        waiting[i]->pixels.reset();
      }
      waiting.clear();
    };
    const auto add = [&](const fs::path& path) {
      const Sample& sample = sample_at(category_, path);
      Reference& reference = load_reference(sample);
      if (reference.features.defined() ||
          std::find(waiting.begin(), waiting.end(), &reference) != waiting.end()) {
        return;
      }
      if (sample.anomalous() && !reference.patch_mask.any().item<bool>()) {
        throw DataError("the mask '" + sample.masks.front().string() + "' of the reference '" +
                        path.string() + "' marks nothing at the network's size");
      }
      waiting.push_back(&reference);
      if (waiting.size() >= batch_size_) flush();
    };
    for (const auto& setting : settings_) {
      for (const auto& path : setting.references.normal) add(path);
      for (const auto& [type, paths] : setting.references.abnormal) {
        for (const auto& path : paths) add(path);
      }
    }
    flush();
  }

  at::Tensor encode(const at::Tensor& pixels) {
    const Stopwatch watch(timing_.encode);
    timing_.pictures += pixels.size(0);
    return backbone_.encode(pixels);
  }

  /// [K, N, C], shared by all settings with the same references.
  const at::Tensor& features_of(const Paths& paths) {
    at::Tensor& stacked = stacks_[paths];
    if (!stacked.defined()) {
      std::vector<at::Tensor> features;
      for (const auto& path : paths) features.push_back(references_.at(path).features);
      stacked = at::stack(features);
    }
    return stacked;
  }

  std::shared_ptr<const ReferenceBank> bank_of(const Paths& normal, const Paths& abnormal) {
    auto& bank = banks_[{normal, abnormal}];
    if (bank) return bank;
    at::Tensor masks;
    if (!abnormal.empty()) {
      std::vector<at::Tensor> all;
      for (const auto& path : abnormal) all.push_back(references_.at(path).patch_mask);
      masks = at::stack(all);
    }
    bank = std::make_shared<const ReferenceBank>(
        features_of(normal), abnormal.empty() ? at::Tensor() : features_of(abnormal), masks,
        head_ != nullptr ? head_->head : NaglHead(nullptr), grid_, backbone_.precision());
    return bank;
  }

  void make_settings() {
    for (auto& setting : settings_) {
      const References& references = setting.references;
      Paths all;
      for (const auto& [type, paths] : references.abnormal) {
        all.insert(all.end(), paths.begin(), paths.end());
        if (options_.protocol == Protocol::kPublished) {
          setting.banks[type] = bank_of(references.normal, paths);
        }
      }
      if (setting.banks.empty()) setting.banks[""] = bank_of(references.normal, all);

      setting.types.resize(category_.test.size());
      setting.asked.resize(category_.test.size());
      for (const auto& query : plan_queries(category_, options_.protocol, references)) {
        const auto i = static_cast<std::size_t>(query.sample - category_.test.data());
        setting.types[i] = query.type;
        setting.asked[i] = true;
      }
      for (const Method method : options_.methods) {
        if (uses_abnormal(method) && !references.lacking.empty()) {
          setting.unscored.push_back(method);
        } else if (references.has_abnormal() || !uses_abnormal(method) || uses_head(method)) {
          setting.methods.push_back(method);
          setting.tallies.push_back(std::make_unique<Tally>());
          setting.tallies.back()->method = method;
        }
      }
    }
  }

  bool score_queries(const EvaluationObserver& observer) {
    std::vector<std::size_t> asked;
    for (std::size_t i = 0; i < category_.test.size(); ++i) {
      const auto asks = [&](const Setting& setting) { return setting.asked[i]; };
      if (std::any_of(settings_.begin(), settings_.end(), asks)) asked.push_back(i);
    }
    find_copies(asked);
    const bool empty_is_good = options_.protocol == Protocol::kPublished;
    ReadAhead<ReadQuery> reader(
        asked.size(),
        [&](std::size_t i) {
          return read_query(category_.test[asked[i]], detection_, empty_is_good);
        },
        items_ahead(static_cast<std::int64_t>(batch_size_), backbone_.device()));
    const auto total = static_cast<std::int64_t>(asked.size());
    for (std::size_t begin = 0; begin < asked.size();) {
      if (observer.stop && observer.stop()) return false;
      const std::size_t end = std::min(begin + batch_size_, asked.size());
      std::vector<ReadQuery> batch;
      for (std::size_t i = begin; i < end; ++i) {
        const Stopwatch watch(timing_.wait);
        batch.push_back(reader.next());
      }
      const auto features = features_of(batch);
      for (std::size_t i = begin; i < end; ++i) {
        score_query(asked[i], batch[i - begin], features[i - begin]);
      }
      begin = end;
      if (observer.picture) observer.picture(static_cast<std::int64_t>(end), total);
    }
    return true;
  }

  /// [1, N, C] each; those of references are there already.
  std::vector<at::Tensor> features_of(const std::vector<ReadQuery>& batch) {
    std::vector<at::Tensor> features(batch.size()), pixels;
    std::vector<std::size_t> missing;
    for (std::size_t i = 0; i < batch.size(); ++i) {
      const auto known = references_.find(batch[i].sample->path);
      if (known != references_.end() && known->second.features.defined()) {
        features[i] = known->second.features.unsqueeze(0);
      } else {
        missing.push_back(i);
        pixels.push_back(batch[i].pixels);
      }
    }
    if (missing.empty()) return features;
    const at::Tensor encoded = encode(at::stack(pixels));
    for (std::size_t i = 0; i < missing.size(); ++i) {
      const auto row = static_cast<std::int64_t>(i);
      features[missing[i]] = encoded.slice(0, row, row + 1);
    }
    return features;
  }

  void score_query(std::size_t index, const ReadQuery& query, const at::Tensor& features) {
    std::vector<std::pair<Tally*, at::Tensor>> jobs;  // with patch scores [N] on the CPU
    {
      const Stopwatch watch(timing_.score);
      for (auto& setting : settings_) {
        if (!setting.asked[index] || setting.methods.empty()) continue;
        const auto bank = setting.banks.find(setting.types[index]);
        const ReferenceBank& used =
            bank != setting.banks.end() ? *bank->second : *setting.banks.begin()->second;
        const auto scores = used.scores(features, setting.methods);
        if (!at::isfinite(at::stack(scores)).all().item<bool>()) {
          throw ModelError("the backbone '" + backbone_.path().string() +
                           "' or the model gives scores that are not finite for '" +
                           query.sample->path.string() + "'; try --precision float32");
        }
        for (std::size_t m = 0; m < scores.size(); ++m) {
          jobs.emplace_back(setting.tallies[m].get(), scores[m][0].to(at::kCPU));
        }
      }
    }
    if (query.anomalous && !query.truth && unmasked_++ == 0) {
      first_unmasked_ = query.sample->path.string();
    }
    const Stopwatch watch(timing_.measure);
    const std::string relative = query.sample->path.lexically_relative(category_.folder).string();
    std::vector<double> image_scores(jobs.size());
    at::parallel_for(0, static_cast<std::int64_t>(jobs.size()), 1, [&](auto begin, auto end) {
      const c10::InferenceMode guard;  // guards are of one thread
      for (auto i = begin; i < end; ++i) {
        auto& [tally, scores] = jobs[static_cast<std::size_t>(i)];
        const double score = image_score(scores);
        image_scores[static_cast<std::size_t>(i)] = score;
        tally->queries.push_back({relative, query.sample->defect, query.anomalous, score});
        if (!query.truth) continue;
        const cv::Mat map =
            make_anomaly_map(scores.reshape({grid_.rows, grid_.columns}), query.size);
        tally->pixels.add({map.ptr<float>(), map.total()}, *query.truth);
        if (query.truth->count() > 0) ++tally->masked_pictures;
      }
    });
    if (!jobs.empty() && jobs_are_of_first_setting(index)) {
      const std::size_t last = settings_.front().methods.size() - 1;
      examples_.see({query.sample, query.anomalous, image_scores[last], jobs[last].second});
    }
  }

  bool jobs_are_of_first_setting(std::size_t index) const {
    return settings_.front().asked[index] && !settings_.front().methods.empty();
  }

  /// Warns of queries that are a reference's very bytes under another name.
  void find_copies(const std::vector<std::size_t>& asked) {
    std::map<std::uintmax_t, std::set<std::string>> sums;  // by size: equal files have the same
    std::error_code error;
    for (const auto& [path, ignored] : references_) {
      sums[fs::file_size(path, error)].insert(sha256_of_file(path));
    }
    std::int64_t copies = 0;
    std::string first;
    for (const auto i : asked) {
      const fs::path& path = category_.test[i].path;
      const auto same_size = sums.find(fs::file_size(path, error));
      if (references_.contains(path) || same_size == sums.end()) continue;
      if (!same_size->second.contains(sha256_of_file(path))) continue;
      if (copies++ == 0) first = path.string();
    }
    if (copies > 0) {
      warnings_.push_back(
          fmt::format("{} queries are copies of references, e.g. '{}'", copies, first));
    }
  }

  EvaluationRow row_of(const Setting& setting, Method method) const {
    EvaluationRow row;
    row.category = category_.name;
    row.method = method;
    row.normal_shots = setting.references.normal_shots;
    row.abnormal_shots = setting.references.abnormal_shots;
    row.seed = setting.references.seed;
    return row;
  }

  EvaluationRow measured(const Setting& setting, Tally& tally) const {
    EvaluationRow row = row_of(setting, tally.method);
    row.queries = std::move(tally.queries);
    std::vector<double> scores;
    std::vector<std::uint8_t> labels;
    for (const auto& query : row.queries) {
      scores.push_back(query.score);
      labels.push_back(query.anomalous);
      ++(query.anomalous ? row.anomalous : row.good);
    }
    const std::string one_class = row.anomalous == 0 ? "no anomalous query"
                                  : row.good == 0    ? "no good query"
                                                     : "";
    const auto set = [&](Metric metric, std::optional<double> value, const std::string& reason) {
      row.metrics[static_cast<std::size_t>(metric)] = {value, value ? "" : reason};
    };
    const auto image_f1 = best_f1(scores, labels);
    set(Metric::kImageAuroc, auroc(scores, labels), one_class);
    set(Metric::kImageAp, average_precision(scores, labels), one_class);
    set(Metric::kImageF1Max, image_f1 ? std::optional(image_f1->f1) : std::nullopt, one_class);
    row.image_roc = thin_curve(roc_curve(scores, labels), kCurvePoints);
    if (image_f1) row.image_threshold = image_f1->threshold;

    const std::string no_pixels = row.anomalous == 0           ? "no anomalous query"
                                  : tally.masked_pictures == 0 ? "no query has a mask"
                                                               : "no normal pixel";
    const auto pixel_f1 = tally.pixels.best_f1();
    set(Metric::kPixelAuroc, tally.pixels.auroc(), no_pixels);
    set(Metric::kPixelAp, tally.pixels.average_precision(), no_pixels);
    set(Metric::kPixelF1Max, pixel_f1 ? std::optional(pixel_f1->f1) : std::nullopt, no_pixels);
    set(Metric::kPro, tally.pixels.pro(options_.pro_limit), no_pixels);
    row.pixel_roc = tally.pixels.roc_curve(kCurvePoints);
    row.pro_curve = tally.pixels.pro_curve(kCurvePoints);
    if (pixel_f1) row.pixel_threshold = pixel_f1->threshold;
    return row;
  }

  CategoryResult finish(const fs::path& folder) {
    CategoryResult result;
    result.name = category_.name;
    result.folder = category_.folder;
    for (const auto& sample : category_.test) {
      ++(sample.anomalous() ? result.anomalous : result.good);
    }
    {
      const Stopwatch watch(timing_.total);
      const Stopwatch measure(timing_.measure);
      for (auto& setting : settings_) {
        for (auto& tally : setting.tallies) {
          result.rows.push_back(measured(setting, *tally));
          tally.reset();  // its histograms
        }
        for (const Method method : setting.unscored) {
          EvaluationRow row = row_of(setting, method);
          for (auto& metric : row.metrics) metric.reason = setting.references.lacking;
          result.rows.push_back(std::move(row));
        }
        result.references.push_back(setting.references);
      }
    }
    const Setting& first = settings_.front();
    for (const auto& setting : settings_) {
      const std::string& lacking = setting.references.lacking;
      if (lacking.empty()) continue;
      warnings_.push_back("no abnormal references: " + lacking);
      break;
    }
    if (unmasked_ > 0) {
      warnings_.push_back(fmt::format(
          "{} defective queries have no mask, or an empty one, and count for image metrics only, "
          "e.g. '{}'",
          unmasked_, first_unmasked_));
    }
    if (!folder.empty() && options_.examples > 0 && !first.methods.empty()) {
      const EvaluationRow& row = result.rows[first.methods.size() - 1];
      result.examples_of = fmt::format("{}, {}", to_string(row.method), shots_of(first.references));
      result.examples = examples_.draw(category_, detection_, grid_, row.image_threshold, folder);
    }
    result.warnings = warnings_;
    result.timing = timing_;
    return result;
  }

  const Backbone& backbone_;
  const TrainedHead* head_;
  const DetectorOptions& detection_;
  const EvaluationOptions& options_;
  std::size_t batch_size_;
  const Category& category_;
  PatchGrid grid_;
  std::map<fs::path, Reference> references_;
  std::map<Paths, at::Tensor> stacks_;
  std::map<std::pair<Paths, Paths>, std::shared_ptr<const ReferenceBank>> banks_;
  std::vector<Setting> settings_;
  ExampleKeeper examples_;
  std::vector<std::string> warnings_;
  std::int64_t unmasked_ = 0;
  std::string first_unmasked_;
  EvaluationTiming timing_;
};

template <typename T>
bool has_repeats(std::vector<T> values) {
  std::sort(values.begin(), values.end());
  return std::adjacent_find(values.begin(), values.end()) != values.end();
}

}  // namespace

void EvaluationOptions::check() const {
  constexpr std::int64_t kMostShots = 100'000;
  if (methods.empty()) throw ConfigError("an evaluation needs at least one method");
  if (normal_shots.empty() || abnormal_shots.empty()) {
    throw ConfigError("an evaluation needs numbers of shots, e.g. --normal-shots 1,2,4");
  }
  if (has_repeats(methods) || has_repeats(normal_shots) || has_repeats(abnormal_shots)) {
    throw ConfigError("a method or a number of shots is named twice");
  }
  for (const auto shots : normal_shots) {
    if (shots < 1 || shots > kMostShots) {
      throw ConfigError(fmt::format("normal shots {} are not in 1..{}", shots, kMostShots));
    }
  }
  for (const auto shots : abnormal_shots) {
    if (shots != kOneOfEach && (shots < 0 || shots > kMostShots)) {
      throw ConfigError(fmt::format("abnormal shots {} are not in 0..{}", shots, kMostShots));
    }
  }
  if (seeds < 1 || seeds > 1000)
    throw ConfigError(fmt::format("seeds {} are not in 1..1000", seeds));
  if (!(pro_limit > 0 && pro_limit <= 1)) {
    throw ConfigError(fmt::format("the PRO limit {} is not in (0, 1]", pro_limit));
  }
  if (examples < 0 || examples > 100) {
    throw ConfigError(fmt::format("examples {} are not in 0..100", examples));
  }
  const bool normal_only = std::none_of(methods.begin(), methods.end(), uses_abnormal);
  const bool none = std::all_of(abnormal_shots.begin(), abnormal_shots.end(),
                                [](std::int64_t shots) { return shots == 0; });
  const auto needs = std::find_if(methods.begin(), methods.end(), [](Method method) {
    return uses_abnormal(method) && !uses_head(method);
  });
  if (!normal_only && none && needs != methods.end()) {
    throw ConfigError("method " + to_string(*needs) + " needs abnormal shots above 0");
  }
}

Evaluator::Evaluator(std::shared_ptr<const Backbone> backbone, std::optional<TrainedHead> head,
                     DetectorOptions detection, EvaluationOptions options, std::int64_t batch_size)
    : backbone_(std::move(backbone)),
      head_(std::move(head)),
      detection_(detection),
      options_(std::move(options)),
      batch_size_(batch_size) {
  options_.check();
  if (options_.protocol == Protocol::kPublished) {
    detection_.mask_alignment = MaskAlignment::kPublished;
  }
  backbone_->check_image_size(detection_.image_size.height, detection_.image_size.width);
  const bool needs_head = std::any_of(options_.methods.begin(), options_.methods.end(), uses_head);
  if (needs_head && !head_) {
    throw ConfigError(
        "method nagl needs a trained head; give --model, the model.safetensors of "
        "nagl train");
  }
  if (!needs_head) head_.reset();
  if (head_) head_->origin.check_equals(origin_of(*backbone_), head_->path);
}

void Evaluator::check_references(const Category& category, const ReferenceList* replay) const {
  all_references(category, options_, replay, [](const Sample&) { return true; });
}

std::optional<CategoryResult> Evaluator::evaluate(const Category& category,
                                                  const ReferenceList* replay,
                                                  const fs::path& folder,
                                                  const EvaluationObserver& observer) const {
  const c10::InferenceMode guard;
  return CategoryRun(*backbone_, head_ ? &*head_ : nullptr, detection_, options_, batch_size_,
                     category)
      .run(replay, folder, observer);
}

}  // namespace nagl
