#pragma once

#include <cstdint>
#include <optional>

#include "nagl/core/torch.h"
#include "nagl/model/reference_features.h"
#include "nagl/nn/discriminant.h"
#include "nagl/nn/nearest_neighbor.h"

namespace nagl {

/// What methods with standardised distances are told beside their references.
struct DiscriminantOptions {
  /// beta, of what is known of defects against the distance, 0..100; null: by their number.
  std::optional<double> weight;
  bool surroundings = true;  ///< good patches of pictures of defects join the normal ones

  /// The weight for so many pictures of defects whose masks were drawn: 0.2 for one, which says
  /// little of defects of other types, 0.3 for more (docs/methods.md has the figures).
  double weight_for(std::int64_t defects) const;

  /// Throws ConfigError on a value out of range.
  void check() const;
  bool operator==(const DiscriminantOptions&) const = default;

  template <typename Self, typename Visit>
  static void fields(Self& self, Visit&& visit) {
    visit("weight", self.weight);
    visit("surroundings", self.surroundings);
  }
};

/// Good patches that it takes to tell a mean and a deviation from.
inline constexpr std::int64_t kEnoughPatches = 100;

/// Mean and deviation of what good patches score, and a score by them.
struct Standardisation {
  double mean = 0, deviation = 1;

  /// @param scores of good patches, at least one
  /// @param least deviation: references that are all the same picture have none
  static Standardisation of(const at::Tensor& scores, double least);
  at::Tensor operator()(const at::Tensor& scores) const { return (scores - mean) / deviation; }
};

/// The distance of a patch to the nearest good one, standardised by what good patches have:
/// `(d - m) / s` of docs/design.md, 3.17. Immutable after construction.
class StandardisedDistance {
 public:
  /// @param features with at least one normal and one abnormal picture, and surroundings
  /// @param normal their normal rows
  /// @param grid of the patches of a view
  StandardisedDistance(const ReferenceFeatures& features, const NeighborRows& normal,
                       PatchGrid grid, const DiscriminantOptions& options);

  /// @param queries [Q, C] float32
  /// @param normal_cosine [Q] float32, the largest cosine with any normal row
  /// @return [Q] float32
  at::Tensor scores(const at::Tensor& queries, const at::Tensor& normal_cosine) const;

  const Standardisation& usual() const { return usual_; }

 private:
  NeighborRows surroundings_;  ///< good patches of pictures of defects; maybe none
  Standardisation usual_;
};

/// Fisher's discriminant of the known defects, of features as a bank keeps them: their normal
/// pictures as they lie and their surroundings are good. Without a mask that was drawn it says
/// nothing, and its direction is 0: what a derived mask marks may be a false alarm.
LinearDiscriminant discriminant_of(const ReferenceFeatures& features);

}  // namespace nagl
