#include "category_run.h"

#include <ATen/Parallel.h>
#include <fmt/format.h>

#include <algorithm>
#include <set>
#include <utility>

#include "nagl/core/duration.h"
#include "nagl/core/error.h"
#include "nagl/core/file_part.h"
#include "nagl/core/sha256.h"

namespace nagl {
namespace {

namespace fs = std::filesystem;

/// Adds the time from its making to its end to a sum.
class Timing {
 public:
  explicit Timing(double& sum) : sum_(sum) {}
  ~Timing() { sum_ += watch_.seconds(); }
  Timing(const Timing&) = delete;
  Timing& operator=(const Timing&) = delete;

 private:
  double& sum_;
  Stopwatch watch_;
};

std::string shots_of(const ReferenceDraw& draw) {
  return fmt::format("K1 {}, K2 {}, seed {}", draw.normal_shots, shots_text(draw.abnormal_shots),
                     draw.seed);
}

}  // namespace

std::vector<ReferenceDraw> draw_all(const Category& category, const EvaluationOptions& options,
                                    const RecordedDraws* replay,
                                    const std::function<bool(const Sample&)>& usable) {
  std::vector<ReferenceDraw> all;
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

CategoryRun::CategoryRun(const PictureEncoder& encoder, const BankOptions& bank,
                         const TrainedHead* head, const EvaluationOptions& options,
                         const RoiFinder& roi, const Category& category)
    : encoder_(encoder),
      options_(options),
      top_share_(bank.top_share),
      roi_(roi),
      category_(category),
      references_(encoder, bank, head, category, roi.shared()),
      examples_(static_cast<std::size_t>(options.examples)) {}

std::optional<CategoryResult> CategoryRun::run(const RecordedDraws* replay, const fs::path& folder,
                                               const EvaluationObserver& observer) {
  {
    const Timing timing(timing_.total);
    choose_references(replay);
    make_settings();
    if (!score_validation(observer) || !score_queries(observer) || !score_unlabelled(observer)) {
      return std::nullopt;
    }
  }
  return finish(folder);
}

void CategoryRun::choose_references(const RecordedDraws* replay) {
  const Timing timing(timing_.encode);
  const auto draws = draw_all(category_, options_, replay,
                              [&](const Sample& sample) { return references_.is_usable(sample); });
  if (category_.train.empty() && replay == nullptr) {
    warnings_.push_back(
        "it has no training split: good references are drawn from the pictures to test on, and are "
        "not scored then");
  }
  for (const auto& draw : draws) warn_of_few(draw);
  references_.encode(draws);
  timing_.pictures += static_cast<std::int64_t>(references_.paths().size());
  for (const auto& draw : draws) settings_.emplace_back().draw = draw;
}

/// The published slices may run out.
void CategoryRun::warn_of_few(const ReferenceDraw& draw) {
  const auto few = [&](const std::vector<fs::path>& paths, std::int64_t wanted,
                       const std::string& what) {
    if (static_cast<std::int64_t>(paths.size()) >= wanted) return;
    warnings_.push_back(
        fmt::format("{} {} references are left for {}", paths.size(), what, shots_of(draw)));
  };
  few(draw.normal, draw.normal_shots, "normal");
  if (options_.protocol != Protocol::kPublished) return;
  for (const auto& [type, paths] : draw.abnormal) {
    few(paths, draw.abnormal_shots, "abnormal (" + type + ")");
  }
}

void CategoryRun::make_settings() {
  for (auto& setting : settings_) {
    const ReferenceDraw& draw = setting.draw;
    setting.types.resize(category_.test.size());
    setting.asked.resize(category_.test.size());
    for (const auto& query : plan_queries(category_, options_.protocol, draw)) {
      const auto i = static_cast<std::size_t>(query.sample - category_.test.data());
      setting.types[i] = query.type;
      setting.asked[i] = true;
    }
    for (const Method method : options_.methods) {
      if (uses_abnormal(method) && !draw.lacking.empty()) {
        setting.unscored.push_back(method);
      } else if (draw.has_abnormal() || !needs_abnormal(method)) {
        setting.methods.push_back(method);
        setting.tallies.push_back(std::make_unique<Tally>(method));
      }
    }
    make_groups(setting);
  }
}

void CategoryRun::make_groups(Setting& setting) {
  const ReferenceDraw& draw = setting.draw;
  for (std::size_t i = 0; i < setting.methods.size(); ++i) {
    const std::int64_t turns = options_.turns_of(setting.methods[i], draw.normal_shots);
    auto group = std::find_if(setting.groups.begin(), setting.groups.end(),
                              [&](const Group& other) { return other.turns == turns; });
    if (group == setting.groups.end()) group = setting.groups.insert(group, Group{turns, {}, {}});
    group->methods.push_back(i);
  }
  for (auto& group : setting.groups) {
    const bool with_head =
        std::any_of(group.methods.begin(), group.methods.end(),
                    [&](std::size_t index) { return uses_head(setting.methods[index]); });
    const auto bank = [&](const std::vector<fs::path>& abnormal) {
      return references_.bank(draw.normal, abnormal, group.turns, with_head);
    };
    std::vector<fs::path> all;
    for (const auto& [type, paths] : draw.abnormal) {
      all.insert(all.end(), paths.begin(), paths.end());
      if (options_.protocol == Protocol::kPublished) group.banks[type] = bank(paths);
    }
    if (group.banks.empty()) group.banks[""] = bank(all);
  }
}

std::vector<ScoringTarget> CategoryRun::targets_of(const Setting& setting,
                                                   std::optional<std::size_t> index) const {
  std::vector<ScoringTarget> targets;
  for (const auto& group : setting.groups) {
    const auto bank = index ? group.banks.find(setting.types[*index]) : group.banks.begin();
    ScoringTarget& target = targets.emplace_back();
    target.references = bank != group.banks.end() ? bank->second : group.banks.begin()->second;
    for (const auto i : group.methods) target.methods.push_back(setting.methods[i]);
    target.top_share = top_share_;
  }
  return targets;
}

/// Good pictures, by which the threshold of pixels is chosen.
bool CategoryRun::score_validation(const EvaluationObserver& observer) {
  std::vector<ScoringTarget> targets;
  std::vector<Tally*> tallies;
  for (const auto& setting : settings_) {
    for (auto& target : targets_of(setting, std::nullopt)) targets.push_back(std::move(target));
    for (const auto& group : setting.groups) {
      for (const auto i : group.methods) tallies.push_back(setting.tallies[i].get());
    }
  }
  if (tallies.empty()) return true;
  const auto& samples = category_.validation;
  auto reader = encoder_.read_ahead<ReadQuery>(samples.size(), [&](std::size_t i) {
    return read_query(encoder_, category_, samples[i], roi_, /*empty_is_good=*/true);
  });
  Scorer scorer(encoder_);
  for (std::size_t i = 0; i < samples.size(); ++i) {
    if (observer.stop && observer.stop()) return false;
    scorer.add(reader.next().query, targets, [&](const std::vector<PictureScores>& scores) {
      for (std::size_t k = 0; k < tallies.size(); ++k) tallies[k]->add_validation(scores[k]);
    });
    ++timing_.pictures;
  }
  scorer.flush();
  timing_.encode += scorer.seconds_encoding();
  timing_.score += scorer.seconds_scoring();
  return true;
}

/// Pictures without truth, by the first draw and the last method.
bool CategoryRun::score_unlabelled(const EvaluationObserver& observer) {
  const Setting& setting = settings_.front();
  if (!observer.unlabelled || category_.unlabelled.empty() || setting.methods.empty()) return true;
  const std::size_t last = setting.methods.size() - 1;
  const auto cut = setting.tallies[last]->pixel_cut();
  if (!cut) {
    throw DataError(fmt::format(
        "category '{}' has no validation pictures (validation/good) to choose a threshold by",
        category_.folder.string()));
  }
  std::vector<ScoringTarget> targets;
  for (const auto& group : setting.groups) {
    if (std::find(group.methods.begin(), group.methods.end(), last) == group.methods.end()) {
      continue;
    }
    targets.push_back({group.banks.begin()->second, {setting.methods[last]}, top_share_});
  }
  Scorer scorer(encoder_);
  for (const auto& [split, pictures] : category_.unlabelled) {
    std::vector<Sample> samples;
    for (const auto& path : pictures) samples.push_back({path, kGood, {}});
    auto reader = encoder_.read_ahead<ReadQuery>(samples.size(), [&](std::size_t i) {
      return read_query(encoder_, category_, samples[i], roi_, /*empty_is_good=*/true);
    });
    for (const auto& path : pictures) {
      if (observer.stop && observer.stop()) return false;
      scorer.add(reader.next().query, targets,
                 [&, split = split, path](const std::vector<PictureScores>& scores) {
                   observer.unlabelled(split, path, scores.front().map(), *cut);
                 });
      ++timing_.pictures;
    }
    scorer.flush();
  }
  timing_.encode += scorer.seconds_encoding();
  timing_.score += scorer.seconds_scoring();
  return true;
}

bool CategoryRun::score_queries(const EvaluationObserver& observer) {
  std::vector<std::size_t> asked;
  for (std::size_t i = 0; i < category_.test.size(); ++i) {
    const auto asks = [&](const Setting& setting) { return setting.asked[i]; };
    if (std::any_of(settings_.begin(), settings_.end(), asks)) asked.push_back(i);
  }
  warn_of_copies(asked);
  const bool empty_is_good = options_.protocol == Protocol::kPublished;
  auto reader = encoder_.read_ahead<ReadQuery>(asked.size(), [&](std::size_t i) {
    return read_query(encoder_, category_, category_.test[asked[i]], roi_, empty_is_good);
  });
  Scorer scorer(encoder_);
  const auto total = static_cast<std::int64_t>(asked.size());
  for (std::int64_t done = 0; done < total; ++done) {
    if (observer.stop && observer.stop()) return false;
    const auto query = [&] {
      const Timing timing(timing_.wait);
      return std::make_shared<ReadQuery>(reader.next());
    }();
    remarks_.insert(remarks_.end(), query->remarks.begin(), query->remarks.end());
    score_query(scorer, asked[static_cast<std::size_t>(done)], query);
    if (observer.picture) observer.picture(done + 1, total);
  }
  scorer.flush();
  timing_.encode += scorer.seconds_encoding();
  timing_.score += scorer.seconds_scoring();
  return true;
}

void CategoryRun::score_query(Scorer& scorer, std::size_t index,
                              const std::shared_ptr<ReadQuery>& query) {
  std::vector<ScoringTarget> targets;
  for (const auto& setting : settings_) {
    if (!setting.asked[index]) continue;
    for (auto& target : targets_of(setting, index)) targets.push_back(std::move(target));
  }
  if (query->anomalous && !query->truth && unmasked_++ == 0) {
    first_unmasked_ = query->sample->path.string();
  }
  const auto known = references_.features_by_tile(query->sample->path);
  const bool encoded =
      !known.empty() &&
      std::all_of(known.begin(), known.end(), [](const auto& tile) { return tile.defined(); });
  if (!encoded) ++timing_.pictures;
  const Query picture = query->query;
  query->query.image.rgb.release();  // what waits for its scores needs no pixels
  scorer.add(
      picture, std::move(targets),
      [this, index, query](const std::vector<PictureScores>& scores) {
        count(index, *query, scores);
      },
      known);
}

void CategoryRun::count(std::size_t index, const ReadQuery& query,
                        const std::vector<PictureScores>& scores) {
  const Timing timing(timing_.measure);
  std::vector<Tally*> tallies;
  for (const auto& setting : settings_) {
    if (!setting.asked[index]) continue;
    for (const auto& group : setting.groups) {
      for (const auto i : group.methods) tallies.push_back(setting.tallies[i].get());
    }
  }
  const fs::path name = query.sample->path.lexically_relative(category_.folder);
  at::parallel_for(0, static_cast<std::int64_t>(tallies.size()), 1, [&](auto begin, auto end) {
    for (auto i = static_cast<std::size_t>(begin); i < static_cast<std::size_t>(end); ++i) {
      tallies[i]->add(query, name, scores[i]);
    }
  });
  const Setting& first = settings_.front();
  if (!first.asked[index] || first.methods.empty()) return;
  // Overlays are of the last method, wherever its group stands.
  const auto last = std::find(tallies.begin(), tallies.end(), first.tallies.back().get());
  examples_.see(
      {query.sample, query.anomalous, scores[static_cast<std::size_t>(last - tallies.begin())]});
}

/// Queries that are a reference's very bytes under another name.
void CategoryRun::warn_of_copies(const std::vector<std::size_t>& asked) {
  std::map<std::uintmax_t, std::set<std::string>> sums;  // by size: equal files have the same
  std::error_code error;
  for (const auto& path : references_.paths()) {
    if (!file_part_of(path).part.empty()) continue;  // one of many of a file
    sums[fs::file_size(path, error)].insert(sha256_of_file(path));
  }
  std::int64_t copies = 0;
  std::string first;
  for (const auto i : asked) {
    const fs::path& path = category_.test[i].path;
    const auto same_size = sums.find(fs::file_size(path, error));
    if (error) continue;
    if (references_.contains(path) || same_size == sums.end()) continue;
    if (!same_size->second.contains(sha256_of_file(path))) continue;
    if (copies++ == 0) first = path.string();
  }
  if (copies > 0) {
    warnings_.push_back(
        fmt::format("{} queries are copies of references, e.g. '{}'", copies, first));
  }
}

EvaluationRow CategoryRun::row_of(const Setting& setting, Method method) const {
  EvaluationRow row;
  row.category = category_.name;
  row.method = method;
  row.normal_shots = setting.draw.normal_shots;
  row.abnormal_shots = setting.draw.abnormal_shots;
  row.seed = setting.draw.seed;
  return row;
}

CategoryResult CategoryRun::finish(const fs::path& folder) {
  CategoryResult result;
  result.name = category_.name;
  result.folder = category_.folder;
  for (const auto& sample : category_.test) {
    ++(sample.anomalous() ? result.anomalous : result.good);
  }
  {
    const Timing total(timing_.total), measure(timing_.measure);
    for (auto& setting : settings_) {
      for (auto& tally : setting.tallies) {
        result.rows.push_back(row_of(setting, tally->method()));
        tally->measure(result.rows.back(), options_.pro_limit);
      }
      for (const Method method : setting.unscored) {
        EvaluationRow row = row_of(setting, method);
        for (auto& metric : row.metrics) metric.reason = setting.draw.lacking;
        result.rows.push_back(std::move(row));
      }
      result.references.push_back(setting.draw);
    }
  }
  for (const auto& setting : settings_) {
    const std::string& lacking = setting.draw.lacking;
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
  const Setting& first = settings_.front();
  if (!folder.empty() && options_.examples > 0 && !first.methods.empty()) {
    const EvaluationRow& row = result.rows[first.methods.size() - 1];
    result.examples_of = fmt::format("{}, {}", to_string(row.method), shots_of(first.draw));
    result.examples = examples_.draw(category_, encoder_, row.image_threshold, folder);
  }
  const auto& of_references = references_.remarks();
  remarks_.insert(remarks_.begin(), of_references.begin(), of_references.end());
  const auto remarkable = summarize(remarks_);
  warnings_.insert(warnings_.end(), remarkable.begin(), remarkable.end());
  result.warnings = warnings_;
  result.timing = timing_;
  return result;
}

}  // namespace nagl
