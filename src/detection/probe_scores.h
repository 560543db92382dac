#pragma once

#include <cstdint>
#include <opencv2/core/mat.hpp>
#include <optional>
#include <vector>

#include "nagl/core/torch.h"
#include "nagl/detection/bank.h"
#include "nagl/encoding/picture_encoder.h"

namespace nagl {

inline constexpr std::size_t kMostProbes = 16;

/// `count` of 0..total-1, or all of them, spread evenly.
std::vector<std::size_t> spread(std::size_t total, std::size_t count = kMostProbes);

/// Whether a bank holds of its pictures all that scoring them takes: all patches, or those that
/// count where the others change nothing, as they do for a head, which attends to all of them.
bool holds_views(const Bank& bank);

/// Features of all patches of a view, from those of the patches inside a region of interest; 0
/// elsewhere. @param rows [M, C] @param inside [N] bool, M of them set @return [N, C]
at::Tensor scattered(const at::Tensor& rows, const at::Tensor& inside);

/// As many rows of scores as a bank keeps, or all of them, spread evenly.
at::Tensor spread_rows(const at::Tensor& scores);

/// Keeps what `Bank::probe_scores` is made of while references come: what good pictures look like
/// to the others.
class ProbeCollector {
 public:
  /// @param keep whether the bank may not hold views once it is done, so that their features must
  ///        be kept
  explicit ProbeCollector(bool keep) : keep_(keep) {}

  /// A good picture comes. A lone one is scored by its mirror image.
  /// @param first whether the bank has no other
  void begin_picture(const PictureEncoder& encoder, const cv::Mat& rgb, bool first);
  /// A view of it, not turned. @param total tiles of the picture @param features [N, C]
  void see(std::int64_t picture, std::size_t tile, std::size_t total, const at::Tensor& features);

  /// The first `places` good pictures are no more in their places; the others moved there.
  void forget(std::int64_t places);

  /// @param bank whose features are whole @param earlier the scores that it had before
  /// Outside the patches that count, the lowest score inside.
  /// @return [P, N] float32 on the CPU; undefined if no good picture came
  /// @throws ConfigError if the method lacks references
  at::Tensor score(const PictureEncoder& encoder, const Bank& bank,
                   const at::Tensor& earlier) const;

 private:
  /// Features of a tile of normal picture `picture`.
  struct Probe {
    std::int64_t picture;
    at::Tensor features;  ///< [N, C]
  };
  std::vector<Probe> chosen(const PictureEncoder& encoder, const Bank& bank) const;

  bool keep_;
  std::vector<Probe> kept_;             ///< for a bank that does not hold views
  std::int64_t seen_ = 0, stride_ = 1;  ///< every so many of those seen are kept
  std::vector<at::Tensor> mirrored_;    ///< tiles of the first picture, while it is alone
};

}  // namespace nagl
