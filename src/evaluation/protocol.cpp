#include "nagl/evaluation/protocol.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>
#include <stdexcept>

#include "nagl/core/atomic_file.h"
#include "nagl/core/error.h"
#include "nagl/core/random.h"
#include "nagl/core/sha256.h"

namespace nagl {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kLargestList = std::size_t{1} << 30;

/// What is drawn; the key of Random beside seed and category.
enum Draw : std::uint64_t { kNormal = 1, kTypes, kAbnormal, kGoodQueryType };

/// Keyed by the category's name, so that draws do not depend on which other categories there are.
Random random_for(std::uint64_t seed, const std::string& category, Draw draw,
                  std::uint64_t slot = 0) {
  const std::string name = Sha256().update(category).hex().substr(0, 16);
  return Random(seed, std::stoull(name, nullptr, 16), draw, slot);
}

std::vector<fs::path> shuffled_paths(const std::vector<Sample>& samples, Random random) {
  std::vector<fs::path> paths;
  for (const auto& sample : samples) paths.push_back(sample.path);
  random.shuffle(paths);
  return paths;
}

std::vector<Sample> good_pool(const Category& category) {
  if (!category.train.empty()) return category.train;
  std::vector<Sample> good;
  for (const auto& sample : category.test) {
    if (!sample.anomalous()) good.push_back(sample);
  }
  return good;
}

/// Pictures of defects that have a mask, by type, in the order of their paths.
std::map<std::string, std::vector<Sample>> masked_by_type(const Category& category) {
  std::map<std::string, std::vector<Sample>> types;
  for (const auto& sample : category.test) {
    if (sample.anomalous() && !sample.masks.empty()) types[sample.defect].push_back(sample);
  }
  return types;
}

[[noreturn]] void fail(const Category& category, const std::string& why) {
  throw DataError("category '" + category.name + "': " + why);
}

/// `[seed * shots, (seed + 1) * shots)` of `samples`, as far as they go.
std::vector<fs::path> slice_of(const std::vector<Sample>& samples, std::uint64_t seed,
                               std::int64_t shots) {
  std::vector<fs::path> slice;
  const std::size_t begin = seed * static_cast<std::size_t>(shots);
  const std::size_t end = std::min(begin + static_cast<std::size_t>(shots), samples.size());
  for (std::size_t i = begin; i < end; ++i) slice.push_back(samples[i].path);
  return slice;
}

/// The same of those that can be used.
std::vector<fs::path> usable_slice(const std::vector<Sample>& samples, std::uint64_t seed,
                                   std::int64_t shots,
                                   const std::function<bool(const Sample&)>& usable) {
  const std::size_t end = (seed + 1) * static_cast<std::size_t>(shots);
  std::vector<Sample> kept;
  for (const auto& sample : samples) {
    if (kept.size() == end) break;
    if (usable(sample)) kept.push_back(sample);
  }
  return slice_of(kept, seed, shots);
}

void draw_published(const Category& category, const std::function<bool(const Sample&)>& usable,
                    ReferenceDraw& references) {
  references.normal = slice_of(good_pool(category), references.seed, references.normal_shots);
  if (references.normal.empty()) {
    fail(category, fmt::format("no normal reference is left for seed {} with {} shots; use fewer "
                               "seeds or shots",
                               references.seed, references.normal_shots));
  }
  if (references.abnormal_shots == 0) return;
  const std::int64_t shots =
      references.abnormal_shots == kOneOfEach ? 1 : references.abnormal_shots;
  for (const auto& [type, samples] : masked_by_type(category)) {
    auto slice = usable_slice(samples, references.seed, shots, usable);
    if (slice.empty()) {
      fail(category, fmt::format("no abnormal reference of {} is left for seed {} with {} shots; "
                                 "use fewer seeds or shots",
                                 type, references.seed, shots));
    }
    references.abnormal[type] = std::move(slice);
  }
  if (!references.has_abnormal()) {
    references.lacking = "no picture of a defect has a mask";
    return;
  }
  Random random = random_for(references.seed, category.name, kGoodQueryType);
  const auto chosen = random.integer(static_cast<std::int64_t>(references.abnormal.size()));
  references.good_query_type = std::next(references.abnormal.begin(), chosen)->first;
}

void draw_strict(const Category& category, const std::function<bool(const Sample&)>& usable,
                 ReferenceDraw& references) {
  const auto pool = good_pool(category);
  const std::size_t spare = category.train.empty() ? 1 : 0;  // one is left to be scored
  if (pool.size() < static_cast<std::size_t>(references.normal_shots) + spare) {
    fail(category,
         fmt::format("{} normal references asked for, but there are {} good pictures; use "
                     "fewer --normal-shots",
                     references.normal_shots, pool.size()));
  }
  // The first of one shuffled list, so that fewer shots are a part of more.
  references.normal = shuffled_paths(pool, random_for(references.seed, category.name, kNormal));
  references.normal.resize(static_cast<std::size_t>(references.normal_shots));
  if (references.abnormal_shots == 0) return;

  const auto by_type = masked_by_type(category);
  std::vector<std::string> types;
  std::map<std::string, std::vector<fs::path>> candidates;
  std::size_t left = 0;
  for (const auto& [type, samples] : by_type) {
    candidates[type] = shuffled_paths(
        samples, random_for(references.seed, category.name, kAbnormal, types.size()));
    std::reverse(candidates[type].begin(), candidates[type].end());  // taken from the back
    left += samples.size();
    types.push_back(type);
  }
  random_for(references.seed, category.name, kTypes).shuffle(types);
  const std::size_t wanted = references.abnormal_shots == kOneOfEach
                                 ? types.size()
                                 : static_cast<std::size_t>(references.abnormal_shots);
  std::size_t taken = 0;
  // One of each type in turn, until there are enough.
  while (taken < wanted && left > 0) {
    for (const auto& type : types) {
      auto& paths = candidates[type];
      while (taken < wanted && !paths.empty()) {
        const fs::path path = paths.back();
        paths.pop_back();
        --left;
        if (!usable(sample_at(category, path))) continue;
        references.abnormal[type].push_back(path);
        ++taken;
        break;
      }
    }
    if (references.abnormal_shots == kOneOfEach) break;
  }
  if (taken == 0) {
    references.lacking = by_type.empty() ? "no picture of a defect has a mask"
                                         : "no mask marks anything at the network's size";
  } else if (taken < wanted && references.abnormal_shots != kOneOfEach) {
    fail(category, fmt::format("{} abnormal references asked for, but there are {} pictures with a "
                               "usable mask; use fewer --abnormal-shots",
                               wanted, taken));
  }
}

bool is_reference(const ReferenceDraw& references, const fs::path& path) {
  const auto holds = [&](const std::vector<fs::path>& paths) {
    return std::find(paths.begin(), paths.end(), path) != paths.end();
  };
  return holds(references.normal) ||
         std::any_of(references.abnormal.begin(), references.abnormal.end(),
                     [&](const auto& type) { return holds(type.second); });
}

Json relative_paths(const std::vector<fs::path>& paths, const fs::path& folder) {
  Json list = Json::array();
  for (const auto& path : paths) list.push_back(path.lexically_relative(folder).string());
  return list;
}

}  // namespace

std::string describe(Protocol protocol) {
  switch (protocol) {
    case Protocol::kPublished:
      return "References are slices of the sorted lists, as in the published code, and stay among "
             "the queries. Each defective query is shown a reference of its own defect type, good "
             "queries one random type a category and seed. A picture whose mask is empty counts as "
             "good and is no reference.";
    case Protocol::kUnseen:
      return "As strict, and queries of the abnormal references' own defect types are left out: "
             "what is scored are defects that were not shown.";
    default:
      return "References are drawn by seed and are never scored. All queries of a category share "
             "the same abnormal references, chosen without looking at the query.";
  }
}

ReferenceDraw draw_references(const Category& category, Protocol protocol, std::uint64_t seed,
                              std::int64_t normal_shots, std::int64_t abnormal_shots,
                              const std::function<bool(const Sample&)>& usable) {
  ReferenceDraw references;
  references.category = category.name;
  references.seed = seed;
  references.normal_shots = normal_shots;
  references.abnormal_shots = abnormal_shots;
  if (protocol == Protocol::kPublished) {
    draw_published(category, usable, references);
  } else {
    draw_strict(category, usable, references);
  }
  return references;
}

std::vector<PlannedQuery> plan_queries(const Category& category, Protocol protocol,
                                       const ReferenceDraw& references) {
  std::vector<PlannedQuery> queries;
  // Other views of a part that is a reference, other slices of a patient, are no new ones.
  std::set<std::string> shown;
  for (const auto* samples : {&category.train, &category.test}) {
    for (const auto& sample : *samples) {
      if (!sample.part.empty() && is_reference(references, sample.path)) shown.insert(sample.part);
    }
  }
  for (const auto& sample : category.test) {
    PlannedQuery query{&sample, {}};
    if (protocol == Protocol::kPublished) {
      // A type without a mask has no reference of its own; the good queries' serves.
      query.type =
          references.abnormal.contains(sample.defect) ? sample.defect : references.good_query_type;
    } else if (is_reference(references, sample.path) || shown.contains(sample.part)) {
      continue;
    } else if (protocol == Protocol::kUnseen && references.abnormal.contains(sample.defect)) {
      continue;
    }
    queries.push_back(std::move(query));
  }
  return queries;
}

Json to_json(const ReferenceDraw& references, const fs::path& category_folder) {
  Json abnormal = Json::object();
  for (const auto& [type, paths] : references.abnormal) {
    abnormal[type] = relative_paths(paths, category_folder);
  }
  Json json = {{"category", references.category},
               {"seed", references.seed},
               {"normal_shots", references.normal_shots},
               {"abnormal_shots", references.abnormal_shots},
               {"normal", relative_paths(references.normal, category_folder)},
               {"abnormal", abnormal}};
  if (!references.good_query_type.empty()) json["good_query_type"] = references.good_query_type;
  return json;
}

RecordedDraws::RecordedDraws(const fs::path& file) : file_(file) {
  try {
    list_ = parse_json(read_file(file, kLargestList));
  } catch (const Json::exception& error) {
    throw DataError("'" + file.string() + "' is not JSON: " + error.what());
  }
  if (list_.is_object() && list_.contains("references")) list_ = Json(list_["references"]);
  if (!list_.is_array()) {
    throw DataError("'" + file.string() +
                    "' holds no list of references; give the results.json of an evaluation");
  }
}

ReferenceDraw RecordedDraws::find(const Category& category, std::uint64_t seed,
                                  std::int64_t normal_shots, std::int64_t abnormal_shots) const {
  const auto path_of = [&](const Json& text, bool anomalous) {
    const fs::path path = (category.folder / text.get<std::string>()).lexically_normal();
    try {
      const Sample& sample = sample_at(category, path);
      if (sample.anomalous() != anomalous || (anomalous && sample.masks.empty())) {
        throw DataError("'" + file_.string() + "' names '" + path.string() + "' as " +
                        (anomalous ? "an abnormal reference, but it is good or has no mask"
                                   : "a normal reference, but it is defective"));
      }
      return sample.path;
    } catch (const std::out_of_range&) {
      throw DataError("'" + file_.string() + "' names '" + path.string() + "', which category '" +
                      category.name + "' does not have");
    }
  };
  try {
    for (const auto& item : list_) {
      if (item.at("category") != category.name || item.at("seed") != seed ||
          item.at("normal_shots") != normal_shots || item.at("abnormal_shots") != abnormal_shots) {
        continue;
      }
      ReferenceDraw references;
      references.category = category.name;
      references.seed = seed;
      references.normal_shots = normal_shots;
      references.abnormal_shots = abnormal_shots;
      for (const auto& path : item.at("normal")) references.normal.push_back(path_of(path, false));
      for (const auto& [type, paths] : item.at("abnormal").items()) {
        for (const auto& path : paths) references.abnormal[type].push_back(path_of(path, true));
      }
      references.good_query_type = item.value("good_query_type", "");
      if (references.normal.empty()) break;
      const std::string& type = references.good_query_type;
      if (!type.empty() && !references.abnormal.contains(type)) {
        throw DataError("'" + file_.string() + "' gives good queries the type '" + type +
                        "', of which it names no reference");
      }
      if (abnormal_shots != 0 && !references.has_abnormal()) {
        references.lacking = "the list of references names none";
      }
      return references;
    }
  } catch (const Json::exception& error) {
    throw DataError("'" + file_.string() + "' is not a list of references: " + error.what());
  }
  throw DataError(fmt::format(
      "'{}' has no references for category '{}', seed {}, {} normal and {} abnormal shots",
      file_.string(), category.name, seed, normal_shots, abnormal_shots));
}

const Sample& sample_at(const Category& category, const fs::path& path) {
  for (const auto* samples : {&category.train, &category.test}) {
    const auto found = std::find_if(samples->begin(), samples->end(), [&](const Sample& sample) {
      return sample.path.lexically_normal() == path.lexically_normal();
    });
    if (found != samples->end()) return *found;
  }
  throw std::out_of_range(path.string());
}

}  // namespace nagl
