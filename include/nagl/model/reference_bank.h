#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "nagl/core/device.h"
#include "nagl/core/device_graph.h"
#include "nagl/core/torch.h"
#include "nagl/model/method.h"
#include "nagl/model/reference_features.h"
#include "nagl/model/standardised_score.h"
#include "nagl/nn/image_score.h"
#include "nagl/nn/nagl_head.h"
#include "nagl/nn/nearest_neighbor.h"

namespace nagl {

/// All that depends on the reference pictures alone: tensors in, patch scores out. Immutable after
/// construction, so safe to use from several threads.
class ReferenceBank {
 public:
  /// @param head RM and AFL, for methods that use a head; the residual proxies are computed here,
  /// once
  /// @param grid of the patches of a view; needed with a head
  /// @param precision below float32: neighbours are looked for in 16 bit (see NeighborRows)
  /// @param options for methods with standardised distances, whose part is computed here, once; of
  ///        features without surroundings it cannot be
  /// @throws std::invalid_argument on shapes that do not fit or a picture without a marked patch
  explicit ReferenceBank(ReferenceFeatures features, NaglHead head = nullptr, PatchGrid grid = {},
                         Precision precision = Precision::kFloat32,
                         const std::optional<DiscriminantOptions>& options = {});

  /// Of whole pictures.
  /// @param normal [K1, N, C] float32, K1 >= 0
  /// @param abnormal [K2, N, C] float32, or undefined
  /// @param patch_mask [K2, N] bool: which abnormal patches show the defect; each row has one set.
  ///        Undefined with `abnormal`.
  /// @param head RM and AFL, for methods that use a head; the residual proxies are computed here,
  /// once
  /// @param grid of N patches; needed with a head
  /// @throws std::invalid_argument on shapes that do not fit or an empty row of the mask
  explicit ReferenceBank(const at::Tensor& normal, const at::Tensor& abnormal = {},
                         const at::Tensor& patch_mask = {}, NaglHead head = nullptr,
                         PatchGrid grid = {}, Precision precision = Precision::kFloat32);

  /// From now on, on CUDA, records the scoring of shapes that come back, and replays it: pays where
  /// many queries follow. Call before the bank is shared.
  void record_scoring();
  /// What became of these recordings.
  GraphCounts graph_counts() const;

  std::int64_t normal_count() const { return features_.normal_count(); }
  std::int64_t abnormal_count() const { return features_.abnormal_count(); }
  const ReferenceFeatures& features() const { return features_; }

  /// @param features [B, N', C] float32; for methods that use a head N' = N, in the same grid
  /// @return raw scores [B, N'] float32, of the range that `range_of` says
  /// @throws ConfigError if `method` needs references or a head that the bank does not have
  at::Tensor score(const at::Tensor& features, Method method) const;
  /// The same for several methods at once, which share what they can: one product with the normal
  /// features serves all of them.
  /// @return one [B, N'] tensor a method
  std::vector<at::Tensor> scores(const at::Tensor& features,
                                 const std::vector<Method>& methods) const;

  /// Scores queries as the bank without normal picture `index` would: what a good picture that is
  /// not in the bank may be expected to score.
  /// @throws ConfigError as `score`, and if `method` uses normal references and there is no other.
  at::Tensor score_left_out(const at::Tensor& features, std::int64_t index, Method method) const {
    return score_left_out(features, std::vector<std::int64_t>{index}, method);
  }
  /// The same without several of them, e.g. copies of each other.
  at::Tensor score_left_out(const at::Tensor& features, const std::vector<std::int64_t>& indices,
                            Method method) const;

  /// Throws ConfigError if `method` needs references or a head that the bank does not have.
  void check(Method method) const;
  /// What `method` comes down to with these references.
  Method effective(Method method) const { return nagl::effective(method, abnormal_count() > 0); }
  /// What Method::kDiscriminant goes by; nothing where the features do not hold what it takes.
  const std::optional<StandardisedDistance>& distance() const { return distance_; }
  const std::optional<LinearDiscriminant>& discriminant() const { return discriminant_; }

 private:
  struct Graphs;

  std::vector<at::Tensor> scores_as_asked(const at::Tensor& features,
                                          const std::vector<Method>& methods) const;
  at::Tensor mine() const;
  Standardisation usual_learnt() const;
  /// The mean cosine of queries with the anomaly proxies. @param found their neighbours in
  /// `normal_` @return [B, N]
  at::Tensor learnt_cosine(const at::Tensor& features, const NearestNeighbors& found,
                           const at::Tensor& positions) const;

  ReferenceFeatures features_;
  NeighborRows normal_, abnormal_;
  mutable NaglHead head_{nullptr};
  PatchGrid grid_;
  Precision precision_;
  std::optional<DiscriminantOptions> options_;
  std::optional<StandardisedDistance> distance_;
  std::optional<LinearDiscriminant> discriminant_;
  double weight_ = 0;
  Standardisation usual_learnt_;
  at::Tensor query_positions_;      ///< position encoding of the grid
  at::Tensor abnormal_positions_;   ///< position encoding of the masked-in rows
  at::Tensor residual_proxies_;     ///< [1, M, C]
  std::shared_ptr<Graphs> graphs_;  ///< null: scoring is not recorded
};

/// The image score (docs/design.md, 3.8): the mean of the top share of patch scores (floor, at
/// least one).
/// @param patch_scores [N] float32
double image_score(const at::Tensor& patch_scores, double top_share = kPublishedTopShare);

}  // namespace nagl
