#include "nagl/detection/scorer.h"

#include <algorithm>
#include <utility>

#include "nagl/core/duration.h"
#include "nagl/core/error.h"

namespace nagl {

/// What is known so far of one picture.
struct Scorer::Picture {
  std::shared_ptr<const QueryTiles> tiles;
  std::filesystem::path path;
  std::vector<ScoringTarget> targets;
  Done done;
  /// By target and method, then by wanted tile: [N] on the CPU.
  std::vector<std::vector<at::Tensor>> scores;
  std::size_t left = 0;  ///< tiles to score
};

Scorer::Scorer(const PictureEncoder& encoder)
    : encoder_(encoder),
      waiting_(encoder, [this](const at::Tensor& features, std::vector<WaitingTile>& tiles) {
        score(features, tiles);
      }) {}

void Scorer::add(const Query& query, std::vector<ScoringTarget> targets, Done done,
                 const std::vector<at::Tensor>& known) {
  const c10::InferenceMode guard;
  const auto picture = std::make_shared<Picture>();
  picture->tiles = std::make_shared<const QueryTiles>(encoder_, query);
  picture->path = query.image.path;
  picture->targets = std::move(targets);
  picture->done = std::move(done);
  const auto& wanted = picture->tiles->wanted();
  picture->left = wanted.size();
  std::size_t rows = 0;
  for (const auto& target : picture->targets) rows += target.methods.size();
  picture->scores.assign(rows, std::vector<at::Tensor>(wanted.size()));
  open_.push_back(picture);
  for (std::size_t slot = 0; slot < wanted.size(); ++slot) {
    const std::size_t tile = wanted[slot];
    const WaitingTile waiting{picture.get(), slot};
    if (tile < known.size() && known[tile].defined()) {
      score(known[tile].unsqueeze(0), {waiting});
      continue;
    }
    const Stopwatch watch;
    const double scoring = seconds_scoring_;
    waiting_.add(encoder_.pixels(query.image.rgb(picture->tiles->area(tile))), waiting);
    seconds_encoding_ += watch.seconds() - (seconds_scoring_ - scoring);
  }
  finish_done();
}

void Scorer::flush() {
  const c10::InferenceMode guard;
  const Stopwatch watch;
  const double scoring = seconds_scoring_;
  waiting_.flush();
  seconds_encoding_ += watch.seconds() - (seconds_scoring_ - scoring);
  finish_done();
}

void Scorer::score(const at::Tensor& features, const std::vector<WaitingTile>& tiles) {
  const Stopwatch watch;
  // Each target once, with all tiles that ask for it.
  struct Asked {
    const ScoringTarget* target;
    std::vector<std::int64_t> rows;                           ///< of `features`
    std::vector<std::pair<std::size_t, std::size_t>> places;  ///< tile, and first row of its scores
  };
  std::vector<Asked> all;
  for (std::size_t i = 0; i < tiles.size(); ++i) {
    std::size_t first = 0;
    for (const auto& target : tiles[i].picture->targets) {
      auto asked = std::find_if(all.begin(), all.end(),
                                [&](const Asked& other) { return *other.target == target; });
      if (asked == all.end()) asked = all.insert(all.end(), {&target, {}, {}});
      if (asked->rows.empty() || asked->rows.back() != static_cast<std::int64_t>(i)) {
        asked->rows.push_back(static_cast<std::int64_t>(i));
      }
      asked->places.emplace_back(asked->rows.size() - 1, first);
      first += target.methods.size();
    }
  }
  for (const auto& [target, rows, places] : all) {
    const bool whole = static_cast<std::int64_t>(rows.size()) == features.size(0);
    const at::Tensor own =
        whole ? features : features.index_select(0, at::tensor(rows).to(features.device()));
    // [methods, tiles, N], in one copy.
    const at::Tensor scores =
        at::stack(target->references->scores(own, target->methods)).to(at::kCPU);
    if (!at::isfinite(scores).all().item<bool>()) {
      const auto& picture = *tiles[static_cast<std::size_t>(rows.front())].picture;
      throw ModelError("the backbone '" + encoder_.backbone().path().string() +
                       "' or the model gives scores that are not finite for '" +
                       picture.path.string() +
                       "'; try --precision float32, or fetch the backbone again");
    }
    for (const auto& [row, first] : places) {
      const WaitingTile& tile = tiles[static_cast<std::size_t>(rows[row])];
      for (std::size_t method = 0; method < target->methods.size(); ++method) {
        // A copy: a view would keep the whole batch's scores.
        tile.picture->scores[first + method][tile.slot] =
            scores[static_cast<std::int64_t>(method)][static_cast<std::int64_t>(row)].clone();
      }
    }
  }
  for (const auto& tile : tiles) --tile.picture->left;
  seconds_scoring_ += watch.seconds();
}

void Scorer::finish_done() {
  while (!open_.empty() && open_.front()->left == 0) {
    const std::shared_ptr<Picture> picture = std::move(open_.front());
    open_.pop_front();
    std::vector<PictureScores> scores;
    for (const auto& target : picture->targets) {
      for (const Method method : target.methods) {
        scores.push_back(picture->tiles->scores(picture->scores[scores.size()],
                                                {range_of(target.references->effective(method)),
                                                 target.top_share.value_or(top_share_of(method))}));
      }
    }
    picture->done(std::move(scores));
  }
}

}  // namespace nagl
