#pragma once

#include <cstdint>
#include <memory>
#include <optional>

#include "nagl/core/torch.h"
#include "nagl/nn/defect_patches.h"
#include "nagl/nn/nearest_neighbor.h"
#include "nagl/nn/position_encoding.h"

namespace nagl {

class ResidualMiningImpl;
class AnomalyFeatureLearningImpl;

/// Shape of the learnt part, and the residual that it takes.
struct NaglHeadOptions {
  std::int64_t width = 384;   ///< channels C of a patch feature; follows from the backbone
  std::int64_t proxies = 25;  ///< learnable proxies M (the paper's section 4.1)
  std::int64_t heads = 4;     ///< attention heads; must divide the width
  /// What the residual's neighbour is nearest by (docs/design.md, 3.3).
  ResidualMetric residual_metric = ResidualMetric::kDot;

  /// Throws ConfigError on a value out of range.
  void check() const;
  bool operator==(const NaglHeadOptions&) const = default;

  template <typename Self, typename Visit>
  static void fields(Self& self, Visit&& visit) {
    visit("proxies", self.proxies);
    visit("heads", self.heads);
    visit("residual_metric", self.residual_metric);
  }
};

/// What is known of queries before the head looks at them.
struct QueryPatches {
  at::Tensor features;       ///< [B, N, C] float32
  at::Tensor residuals;      ///< [B, N, C] float32, to the nearest normal patch
  at::Tensor normal_cosine;  ///< [B, N] float32, largest cosine with any normal patch
  PatchGrid grid;            ///< of N patches
  at::Tensor positions;      ///< [N, C] float32, `position_encoding` of that grid
};

/// Patch scores in the form of docs/design.md, 3.7, all float32 in [0, 1].
struct PatchScores {
  at::Tensor normal_similarity;    ///< sim_n [B, N] = (1 + max cos with a normal patch) / 2
  at::Tensor abnormal_similarity;  ///< sim_a [B, N] = (1 + mean cos with the anomaly proxies) / 2
  at::Tensor fused;                ///< [B, N] = (sim_a + 1 - sim_n) / 2
};

/// RM and AFL: the 2.4 million parameters that learn. Its state dict is that of a published
/// checkpoint without the prefix `module.`.
class NaglHeadImpl : public torch::nn::Module {
 public:
  /// @throws ConfigError on options out of range
  explicit NaglHeadImpl(const NaglHeadOptions& options);

  /// RM. @return residual proxies [B, M, C]; they depend on the references alone
  at::Tensor mine(const DefectPatches& references);
  /// AFL. @param residual_proxies [B, M, C] @return anomaly proxies [B, M, C]
  at::Tensor learn(const at::Tensor& residual_proxies, const QueryPatches& queries);
  /// RM, AFL and the scores.
  PatchScores forward(const DefectPatches& references, const QueryPatches& queries);

  /// Sets all weights to their initial values, a pure function of `seed` (docs/design.md, 3.10).
  void initialize(std::uint64_t seed);

  /// A head of its own with the same weights, on `device` or where this one is.
  std::shared_ptr<torch::nn::Module> clone(
      const std::optional<at::Device>& device = std::nullopt) const override;

  const NaglHeadOptions& options() const { return options_; }

 private:
  NaglHeadOptions options_;
  std::shared_ptr<ResidualMiningImpl> mining_;
  std::shared_ptr<AnomalyFeatureLearningImpl> learning_;
};
TORCH_MODULE(NaglHead);

/// The mean over proxies of the cosine of each patch with each proxy (docs/design.md, 3.6).
/// @param features [B, N, C] float32
/// @param proxies [B, M, C] float32
/// @return [B, N] float32 in [-1, 1]
at::Tensor mean_cosine(const at::Tensor& features, const at::Tensor& proxies);

/// docs/design.md, 3.7, from cosines. @param normal_cosine, abnormal_cosine [B, N] float32
PatchScores fuse(const at::Tensor& normal_cosine, const at::Tensor& abnormal_cosine);

}  // namespace nagl
