#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "nagl/core/enum_names.h"
#include "nagl/training/source.h"

namespace nagl {

/// Which defect type an anomalous query shows.
enum class QueryDefect {
  kSame,         ///< that of the abnormal references, as published
  kIndependent,  ///< any of the category
};
constexpr auto names_of(QueryDefect) {
  return EnumNames<QueryDefect, 2>{
      "query defect", {{{QueryDefect::kSame, "same"}, {QueryDefect::kIndependent, "independent"}}}};
}

/// What an episode is made of (docs/design.md, 3.10).
struct EpisodeOptions {
  /// Normal references K1; with several values, each episode draws one. The published code trains
  /// one head for each of 1, 2 and 4.
  std::vector<std::int64_t> normal_shots = {1};
  std::int64_t abnormal_shots = 1;  ///< abnormal references K2
  QueryDefect query_defect = QueryDefect::kSame;

  /// Throws ConfigError on a value out of range.
  void check() const;
  std::int64_t most_normal_shots() const;

  template <typename Self, typename Visit>
  static void fields(Self& self, Visit&& visit) {
    visit("normal_shots", self.normal_shots);
    visit("abnormal_shots", self.abnormal_shots);
    visit("query_defect", self.query_defect);
  }
};

/// A query and its references, by their index in the source.
struct Episode {
  std::vector<std::int64_t> normal;
  std::vector<std::int64_t> abnormal;
  std::int64_t query = 0;

  bool operator==(const Episode&) const = default;
};

/// Draws episodes: the category uniform, of it normal references, one defect type uniform, abnormal
/// references of it, and a query, good or anomalous with equal chance, that is none of the
/// references.
class EpisodeSampler {
 public:
  /// @param categories what may be drawn; a category or defect type with too few pictures for the
  ///        options is left out, and `skipped` says so
  /// @throws DataError if nothing remains
  EpisodeSampler(std::vector<CategoryPictures> categories, EpisodeOptions options,
                 std::uint64_t seed);

  /// A pure function of its arguments and the constructor's.
  Episode sample(std::int64_t epoch, std::int64_t step, std::int64_t slot) const;

  /// What episodes are drawn from.
  const std::vector<CategoryPictures>& categories() const { return categories_; }
  /// One line for each category and defect type that was left out.
  const std::vector<std::string>& skipped() const { return skipped_; }

 private:
  std::vector<CategoryPictures> categories_;
  EpisodeOptions options_;
  std::uint64_t seed_;
  std::vector<std::string> skipped_;
};

/// Leaves out the categories and defect types that have too few pictures for an episode: one more
/// than there are references. @param skipped gets a line for each
std::vector<CategoryPictures> usable_categories(std::vector<CategoryPictures> categories,
                                                const EpisodeOptions& options,
                                                std::vector<std::string>& skipped);

}  // namespace nagl
