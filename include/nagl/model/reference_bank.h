#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "nagl/core/device.h"
#include "nagl/core/enum_names.h"
#include "nagl/core/torch.h"
#include "nagl/nn/nagl_head.h"
#include "nagl/nn/nearest_neighbor.h"

namespace nagl {

/// How patches are scored (the paper's ablation; docs/design.md, 3.7).
enum class Method {
  kNormalNn,    ///< distance to the nearest normal patch: (1 - c_n) / 2
  kAbnormalNn,  ///< similarity to the nearest known defect patch: (1 + c_a) / 2
  kBothNn,      ///< both: (2 + c_a - c_n) / 4
  kNagl,        ///< both, with c_a the mean cosine to the anomaly proxies of RM and AFL
};
constexpr auto names_of(Method) {
  return EnumNames<Method, 4>{"method",
                              {{{Method::kNormalNn, "normal_nn"},
                                {Method::kAbnormalNn, "abnormal_nn"},
                                {Method::kBothNn, "both_nn"},
                                {Method::kNagl, "nagl"}}}};
}

/// Whether a method looks at normal, or at abnormal, references.
bool uses_normal(Method method);
bool uses_abnormal(Method method);
/// Whether it needs a trained head.
bool uses_head(Method method);

/// Features of reference pictures as a bank keeps them. A picture may have any number of normal
/// rows (fewer than patches where the bank is thinned, more where it was turned or cut into tiles),
/// and an abnormal one several masked views (its tiles that show the defect).
struct ReferenceFeatures {
  at::Tensor normal;                      ///< [R, C] float32, picture after picture
  std::vector<std::int64_t> normal_rows;  ///< rows of each normal picture; their sum is R
  at::Tensor abnormal;  ///< [A, C] float32, the patches that show a defect; undefined: none
  at::Tensor
      patch_mask;  ///< [V, N] bool, where they lie in their views; A are set, one in each row
  std::vector<std::int64_t> abnormal_views;  ///< views of each abnormal picture; their sum is V

  /// Whole pictures. @param normal [K1, N, C] @param abnormal [K2, N, C] or undefined
  /// @param patch_mask [K2, N] bool, undefined with `abnormal`
  /// @throws std::invalid_argument on shapes that do not fit
  static ReferenceFeatures of_pictures(const at::Tensor& normal, const at::Tensor& abnormal = {},
                                       const at::Tensor& patch_mask = {});

  std::int64_t normal_count() const { return static_cast<std::int64_t>(normal_rows.size()); }
  std::int64_t abnormal_count() const { return static_cast<std::int64_t>(abnormal_views.size()); }
  /// The rows of one normal picture, without a copy.
  at::Tensor normal_picture(std::int64_t index) const;
  /// All but one picture; the other kind is shared, not copied.
  ReferenceFeatures without_normal(std::int64_t index) const;
  ReferenceFeatures without_abnormal(std::int64_t index) const;
};

/// All that depends on the reference pictures alone: tensors in, patch scores out. Immutable after
/// construction, so safe to use from several threads.
class ReferenceBank {
 public:
  /// @param head RM and AFL, for Method::kNagl; the residual proxies are computed here, once
  /// @param grid of the patches of a view; needed with a head
  /// @param precision below float32: on CUDA, neighbours are looked for in float16
  /// @throws std::invalid_argument on shapes that do not fit or an empty row of the mask
  explicit ReferenceBank(ReferenceFeatures features, NaglHead head = nullptr, PatchGrid grid = {},
                         Precision precision = Precision::kFloat32);

  /// Of whole pictures.
  /// @param normal [K1, N, C] float32, K1 >= 0
  /// @param abnormal [K2, N, C] float32, or undefined
  /// @param patch_mask [K2, N] bool: which abnormal patches show the defect; each row has one set.
  ///        Undefined with `abnormal`.
  /// @param head RM and AFL, for Method::kNagl; the residual proxies are computed here, once
  /// @param grid of N patches; needed with a head
  /// @throws std::invalid_argument on shapes that do not fit or an empty row of the mask
  explicit ReferenceBank(const at::Tensor& normal, const at::Tensor& abnormal = {},
                         const at::Tensor& patch_mask = {}, NaglHead head = nullptr,
                         PatchGrid grid = {}, Precision precision = Precision::kFloat32);

  std::int64_t normal_count() const { return features_.normal_count(); }
  std::int64_t abnormal_count() const { return features_.abnormal_count(); }
  const ReferenceFeatures& features() const { return features_; }

  /// @param features [B, N', C] float32; for Method::kNagl N' = N, in the same grid
  /// @return scores [B, N'] float32 in [0, 1]
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
  at::Tensor score_left_out(const at::Tensor& features, std::int64_t index, Method method) const;

  /// Throws ConfigError if `method` needs references or a head that the bank does not have.
  void check(Method method) const;
  /// What `method` comes down to with these references: NAGL without abnormal ones is normal_nn.
  Method effective(Method method) const;

 private:
  at::Tensor mine() const;

  ReferenceFeatures features_;
  NeighborRows normal_, abnormal_;
  mutable NaglHead head_{nullptr};
  PatchGrid grid_;
  Precision precision_;
  at::Tensor query_positions_;     ///< position encoding of the grid
  at::Tensor abnormal_positions_;  ///< position encoding of the masked-in rows
  at::Tensor residual_proxies_;    ///< [1, M, C]
};

/// The image score (docs/design.md, 3.8): the mean of the top 1 % of patch scores (floor, at least
/// one).
/// @param patch_scores [N] float32
double image_score(const at::Tensor& patch_scores);

}  // namespace nagl
