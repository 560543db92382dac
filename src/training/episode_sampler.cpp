#include "nagl/training/episode_sampler.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "nagl/core/error.h"
#include "nagl/core/random.h"

namespace nagl {
namespace {

constexpr std::int64_t kMostShots = 1024;

const auto& one_of(Random& random, const auto& values) {
  return values[static_cast<std::size_t>(random.integer(static_cast<std::int64_t>(values.size())))];
}

/// Takes the last of some drawn pictures as the query.
std::int64_t take_last(std::vector<std::int64_t>& drawn) {
  const std::int64_t last = drawn.back();
  drawn.pop_back();
  return last;
}

}  // namespace

void EpisodeOptions::check() const {
  const auto in_range = [](std::int64_t shots) { return shots >= 1 && shots <= kMostShots; };
  if (normal_shots.empty() || !std::all_of(normal_shots.begin(), normal_shots.end(), in_range)) {
    throw ConfigError(
        fmt::format("episodes.normal_shots needs one or more values in 1..{}, e.g. [1] or [1,2,4]",
                    kMostShots));
  }
  if (!in_range(abnormal_shots)) {
    throw ConfigError(
        fmt::format("episodes.abnormal_shots {} is not in 1..{}", abnormal_shots, kMostShots));
  }
}

std::int64_t EpisodeOptions::most_normal_shots() const {
  return *std::max_element(normal_shots.begin(), normal_shots.end());
}

std::vector<CategoryPictures> usable_categories(std::vector<CategoryPictures> categories,
                                                const EpisodeOptions& options,
                                                std::vector<std::string>& skipped) {
  const std::int64_t most_normal = options.most_normal_shots();
  std::vector<CategoryPictures> usable;
  for (auto& category : categories) {
    const auto good = static_cast<std::int64_t>(category.good.size());
    if (good <= most_normal) {
      skipped.push_back(fmt::format(
          "category {} is left out: {} good pictures, {} needed (normal references and a query)",
          category.name, good, most_normal + 1));
      continue;
    }
    std::erase_if(category.defects, [&](const CategoryPictures::Defect& defect) {
      const auto count = static_cast<std::int64_t>(defect.pictures.size());
      if (count > options.abnormal_shots) return false;
      skipped.push_back(
          fmt::format("category {}: defect type {} is left out: {} pictures with a mask, {} needed",
                      category.name, defect.type, count, options.abnormal_shots + 1));
      return true;
    });
    if (category.defects.empty()) {
      skipped.push_back(
          fmt::format("category {} is left out: no defect type with {} pictures that have a mask",
                      category.name, options.abnormal_shots + 1));
      continue;
    }
    usable.push_back(std::move(category));
  }
  return usable;
}

EpisodeSampler::EpisodeSampler(std::vector<CategoryPictures> categories, EpisodeOptions options,
                               std::uint64_t seed)
    : options_(std::move(options)), seed_(seed) {
  options_.check();
  categories_ = usable_categories(std::move(categories), options_, skipped_);
  if (categories_.empty()) {
    std::string reasons;
    for (const auto& line : skipped_) reasons += (reasons.empty() ? "" : "; ") + line;
    throw DataError("no category can be trained on: " +
                    (reasons.empty() ? "the source is empty" : reasons));
  }
}

Episode EpisodeSampler::sample(std::int64_t epoch, std::int64_t step, std::int64_t slot) const {
  Random random(seed_, static_cast<std::uint64_t>(epoch), static_cast<std::uint64_t>(step),
                static_cast<std::uint64_t>(slot));
  const CategoryPictures& category = one_of(random, categories_);
  const CategoryPictures::Defect& defect = one_of(random, category.defects);
  const std::int64_t normal_shots = one_of(random, options_.normal_shots);
  const bool anomalous = random.integer(2) == 1;

  Episode episode;
  // One picture more than the references need: the query, so that it is never one of them.
  episode.normal = random.choose_of(category.good, normal_shots + 1);
  episode.query = take_last(episode.normal);
  episode.abnormal = random.choose_of(defect.pictures, options_.abnormal_shots + 1);
  const std::int64_t abnormal_query = take_last(episode.abnormal);
  if (!anomalous) return episode;
  episode.query = abnormal_query;
  if (options_.query_defect == QueryDefect::kIndependent) {
    const CategoryPictures::Defect& other = one_of(random, category.defects);
    if (&other != &defect) episode.query = one_of(random, other.pictures);
  }
  return episode;
}

}  // namespace nagl
