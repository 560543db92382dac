#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <vector>

#include "nagl/core/device.h"
#include "nagl/core/torch.h"
#include "nagl/detection/query.h"
#include "nagl/encoding/picture_encoder.h"
#include "nagl/model/reference_bank.h"

namespace nagl {

/// What a picture is scored against: references, and by which methods.
struct ScoringTarget {
  std::shared_ptr<const ReferenceBank> references;
  std::vector<Method> methods;
  /// Of the patches, whose mean is the image score; null: each method's own.
  std::optional<double> top_share;

  bool operator==(const ScoringTarget&) const = default;
};

/// Scores pictures against one or several banks of one encoder: each picture (or tile) is encoded
/// once, by batches, and a batch is scored at once against all that its pictures ask for. Pictures
/// are done in the order in which they came, each as soon as its last tile is scored, so that only
/// those of one batch are in the making; on a device those of two, since the scores of one come
/// back while it computes the next. After an exception it is of no more use.
class Scorer {
 public:
  /// @param scores one a target and method: those of the first target, then of the second, ...
  using Done = std::function<void(std::vector<PictureScores> scores)>;

  explicit Scorer(const PictureEncoder& encoder);
  Scorer(const Scorer&) = delete;  // what waits points into it
  Scorer& operator=(const Scorer&) = delete;

  /// Calls `done`, now or when later pictures fill the batch.
  /// @param known by tile, features [N, C] that were encoded before; undefined, or empty: not
  /// @throws DataError naming the picture if it cannot be scored
  /// @throws ModelError if scores are not finite (weights or precision that do not fit)
  void add(const Query& query, std::vector<ScoringTarget> targets, Done done,
           const std::vector<at::Tensor>& known = {});
  /// Scores what waits.
  void flush();

  /// Seconds spent on encoding, and on scoring, so far.
  double seconds_encoding() const { return seconds_encoding_; }
  double seconds_scoring() const { return seconds_scoring_; }

 private:
  struct Picture;
  struct WaitingTile {
    Picture* picture;
    std::size_t slot;  ///< of its wanted tiles
  };

  /// Scores of a batch against one target, [methods, tiles, N], and whose they are.
  struct ScoredBatch {
    struct Place {
      WaitingTile tile;
      std::int64_t row;   ///< its place among the tiles
      std::size_t first;  ///< of its picture's scores, that of the target's first method
    };

    Download scores;
    std::vector<Place> places;
  };

  void score(const at::Tensor& features, const std::vector<WaitingTile>& tiles);
  /// Gives the pictures the scores that were asked for last.
  void settle();
  void finish_done();

  PictureEncoder encoder_;
  std::deque<std::shared_ptr<Picture>> open_;  ///< in the order in which they came
  ViewBatches<WaitingTile> waiting_;
  std::vector<ScoredBatch> on_their_way_;
  std::vector<WaitingTile> asked_;  ///< the tiles of these
  double seconds_encoding_ = 0, seconds_scoring_ = 0;
};

}  // namespace nagl
