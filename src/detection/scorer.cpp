#include "nagl/detection/scorer.h"

#include <algorithm>
#include <utility>

#include "nagl/core/device.h"
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
  settle();
  seconds_encoding_ += watch.seconds() - (seconds_scoring_ - scoring);
  finish_done();
}

void Scorer::score(const at::Tensor& features, const std::vector<WaitingTile>& tiles) {
  const Stopwatch watch;
  // Each target once, with all tiles that ask for it.
  struct Asked {
    const ScoringTarget* target;
    std::vector<std::int64_t> rows;  ///< of `features`
    std::vector<ScoredBatch::Place> places;
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
      asked->places.push_back({tiles[i], static_cast<std::int64_t>(asked->rows.size()) - 1, first});
      first += target.methods.size();
    }
  }
  std::vector<ScoredBatch> batches;
  for (auto& [target, rows, places] : all) {
    const bool whole = static_cast<std::int64_t>(rows.size()) == features.size(0);
    const at::Tensor own =
        whole ? features : features.index_select(0, upload(at::tensor(rows), features.device()));
    batches.push_back(
        {Download(at::stack(target->references->scores(own, target->methods))), places});
  }
  // While a device computes these, the ones before are looked at.
  settle();
  on_their_way_ = std::move(batches);
  asked_ = tiles;
  if (features.is_cpu()) settle();
  seconds_scoring_ += watch.seconds();
}

void Scorer::settle() {
  for (auto& [download, places] : on_their_way_) {
    const at::Tensor& scores = download.wait();
    if (!at::isfinite(scores).all().item<bool>()) {
      const auto& picture = *places.front().tile.picture;
      throw ModelError("the backbone '" + encoder_.backbone().path().string() +
                       "' or the model gives scores that are not finite for '" +
                       picture.path.string() +
                       "'; try --precision float32, or fetch the backbone again");
    }
    for (const auto& [tile, row, first] : places) {
      for (std::int64_t method = 0; method < scores.size(0); ++method) {
        // A copy: a view would keep the whole batch's scores.
        tile.picture->scores[first + static_cast<std::size_t>(method)][tile.slot] =
            scores[method][row].clone();
      }
    }
  }
  on_their_way_.clear();
  for (const auto& tile : asked_) --tile.picture->left;
  asked_.clear();
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
