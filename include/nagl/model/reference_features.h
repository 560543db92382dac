#pragma once

#include <cstdint>
#include <vector>

#include "nagl/core/torch.h"
#include "nagl/nn/discriminant.h"

namespace nagl {

/// Features of reference pictures as a bank keeps them. A picture may have any number of normal
/// rows (fewer than patches where the bank is thinned, more where it was turned or cut into tiles),
/// and an abnormal one several views (its tiles).
struct ReferenceFeatures {
  at::Tensor normal;                      ///< [R, C] float32, picture after picture
  std::vector<std::int64_t> normal_rows;  ///< rows of each normal picture; their sum is R
  /// Angles at which each normal picture is there. Of a bank that is not thinned the first
  /// rows of a picture (`normal_picture_unturned`) are of the picture as it is.
  std::int64_t turns = 1;
  /// [N] bool: the patches of a picture as it lies that count, where a region of interest leaves
  /// some out; undefined: all do.
  at::Tensor counted;
  bool thinned = false;  ///< whether rows are a choice among the patches
  /// Pictures that the first entry stands for, where a bank of a fixed size put its oldest
  /// together; 0: it is a picture.
  std::int64_t merged = 0;
  /// [R] float32: how unlike all earlier ones each row was when it came (`CoresetChoice::novelty`),
  /// by which a bank of a fixed size forgets; on the CPU. Undefined: it never had to.
  at::Tensor normal_novelty;

  at::Tensor abnormal;  ///< [A, C] float32, the patches that show a defect; undefined: none
  /// [V, N] bool, where they lie in their views: A are set, in each picture at least one.
  at::Tensor patch_mask;
  std::vector<std::int64_t> abnormal_views;  ///< views of each abnormal picture; their sum is V
  /// [U, C] float32, patches of these views that lie well outside the mask; undefined where no
  /// method needs them.
  at::Tensor surroundings;
  at::Tensor clear;  ///< [V, N] bool, where they lie: U are set; undefined with `surroundings`
  at::Tensor surroundings_novelty;  ///< [U] float32, as `normal_novelty`; undefined with either
  /// [V] bool, the views whose mask somebody drew; a derived one may lie elsewhere than the defect.
  /// Undefined with `surroundings`.
  at::Tensor drawn;

  /// Of all patches of each normal picture as it is, and of all surroundings of each abnormal one,
  /// at unit length and before any thinning. Empty where no method needs them.
  std::vector<FeatureMoments> normal_moments, abnormal_moments;

  /// Whole pictures. @param normal [K1, N, C] @param abnormal [K2, N, C] or undefined
  /// @param patch_mask [K2, N] bool, undefined with `abnormal`
  /// @param grid of the N patches: surroundings are kept too; without patches they are not
  /// @throws std::invalid_argument on shapes that do not fit
  static ReferenceFeatures of_pictures(const at::Tensor& normal, const at::Tensor& abnormal = {},
                                       const at::Tensor& patch_mask = {}, PatchGrid grid = {0, 0});

  /// Entries: a picture each, but for a first one of several.
  std::int64_t normal_count() const { return static_cast<std::int64_t>(normal_rows.size()); }
  std::int64_t abnormal_count() const { return static_cast<std::int64_t>(abnormal_views.size()); }
  /// Rows that a picture as it lies has, in a bank that is not thinned.
  std::int64_t view_rows(std::int64_t index) const;
  /// The rows of one normal picture, without a copy.
  at::Tensor normal_picture(std::int64_t index) const;
  /// Those of them that are of the picture as it is; of a thinned bank all.
  at::Tensor normal_picture_unturned(std::int64_t index) const;
  /// The surroundings of each abnormal picture, [*, C], K2 of them.
  std::vector<at::Tensor> surroundings_by_picture() const;
  /// Fills in the moments of rows that are not thinned.
  void compute_moments();
  /// The rows of `abnormal` whose masks were drawn, [*, C].
  at::Tensor drawn_abnormal() const;
  /// The abnormal pictures whose masks were drawn.
  std::int64_t drawn_count() const;

  /// All but one picture; the other kind is shared, not copied.
  ReferenceFeatures without_normal(std::int64_t index) const;
  ReferenceFeatures without_normal(const std::vector<std::int64_t>& indices) const;
  ReferenceFeatures without_abnormal(std::int64_t index) const;
  /// The normal pictures of this one beside the abnormal ones of `other`; all is shared.
  ReferenceFeatures with_abnormal_of(const ReferenceFeatures& other) const;
  /// The pictures of this one, then those of `other`. @throws std::invalid_argument if one has what
  /// the other lacks (turns, thinning, surroundings)
  ReferenceFeatures followed_by(const ReferenceFeatures& other) const;
  /// The same with its tensors on `device`, but for novelty; what is there already is shared.
  ReferenceFeatures on(at::Device device) const;

  /// Throws std::invalid_argument if shapes or counts contradict each other, or an abnormal picture
  /// shows no defect.
  void check() const;
};

}  // namespace nagl
