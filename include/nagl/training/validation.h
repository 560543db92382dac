#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "nagl/core/json.h"
#include "nagl/training/episode_loader.h"

namespace nagl {

/// How the best epoch is chosen.
struct ValidationOptions {
  HoldOut hold_out = HoldOut::kAuto;
  std::string category;    ///< the category to hold out; empty: chosen by the seed
  std::int64_t draws = 2;  ///< reference sets drawn for each category and defect type

  /// Throws ConfigError on a value out of range or a contradiction.
  void check() const;

  template <typename Self, typename Visit>
  static void fields(Self& self, Visit&& visit) {
    visit("hold_out", self.hold_out);
    visit("category", self.category);
    visit("draws", self.draws);
  }
};

/// Means over reference sets, categories and defect types, in [0, 1].
struct ValidationMetrics {
  double image_auroc = 0;
  double pixel_auroc = 0;
  double pro = 0;

  /// What the best epoch has most of.
  double score() const { return (image_auroc + pixel_auroc + pro) / 3; }
};

Json to_json(const ValidationMetrics& metrics);
ValidationMetrics validation_metrics_from_json(const Json& json);

/// Scores held-out pictures of the source: for each category and defect type, references are drawn
/// (the same in every epoch), and all other good pictures and those of the type are the queries.
/// Maps are compared with the masks at the network's size, without smoothing.
class Validator {
 public:
  /// @param categories the held-out pictures; those with too few for the options are left out
  Validator(EpisodeLoader& loader, std::vector<CategoryPictures> categories,
            const EpisodeOptions& episodes, const ValidationOptions& options, std::uint64_t seed);

  /// Whether there is anything to score.
  bool possible() const { return !sets_.empty(); }

  ValidationMetrics evaluate(NaglHead& head, std::int64_t batch_size) const;

 private:
  EpisodeLoader& loader_;
  std::vector<std::vector<Episode>> sets_;  ///< queries that share their references
};

}  // namespace nagl
