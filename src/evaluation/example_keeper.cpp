#include "example_keeper.h"

#include <fmt/format.h>

#include <algorithm>
#include <opencv2/core.hpp>
#include <set>

#include "nagl/core/error.h"
#include "nagl/image/mask.h"
#include "nagl/image/overlay.h"

namespace nagl {
namespace {

using Seen = ExampleKeeper::Seen;

/// Keeps the first `count` in the order of `before`.
template <typename Before>
void keep(std::vector<Seen>& kept, const Seen& seen, std::size_t count, Before&& before) {
  kept.insert(std::upper_bound(kept.begin(), kept.end(), seen, before), seen);
  if (kept.size() > count) kept.pop_back();
}

double heat(const Seen& seen) { return seen.scores.raw_image_score(); }
bool hotter(const Seen& a, const Seen& b) { return heat(a) > heat(b); }
bool colder(const Seen& a, const Seen& b) { return heat(a) < heat(b); }

}  // namespace

void ExampleKeeper::see(const Seen& seen) {
  if (count_ == 0) return;
  if (seen.anomalous) {
    keep(hottest_defects_, seen, count_, hotter);
    keep(coldest_defects_, seen, count_, colder);
  } else {
    keep(hottest_good_, seen, count_, hotter);
  }
}

std::vector<Example> ExampleKeeper::draw(const Category& category, const PictureEncoder& encoder,
                                         std::optional<double> threshold,
                                         const std::filesystem::path& folder) const {
  std::vector<Seen> chosen = hottest_defects_;
  for (auto seen = coldest_defects_.rbegin(); seen != coldest_defects_.rend(); ++seen) {
    chosen.push_back(*seen);
  }
  chosen.insert(chosen.end(), hottest_good_.begin(), hottest_good_.end());

  // One scale for all, so that their colours compare: from the usual patch to the hottest one.
  ColourScale scale{1, 0, 0};
  ScoreRange range = ScoreRange::kUnit;
  double usual_sum = 0;
  for (const auto& seen : chosen) {
    range = seen.scores.range();
    const at::Tensor& patches = seen.scores.raw_patch_scores();
    usual_sum += patches.median().item<double>();
    scale.high = std::max(scale.high, patches.max().item<double>());
  }
  scale.low = usual_sum / static_cast<double>(std::max<std::size_t>(chosen.size(), 1));
  scale.good = threshold ? raw_score(*threshold, range) : scale.low;

  std::vector<Example> examples;
  std::set<const Sample*> drawn;
  for (const auto& seen : chosen) {
    if (!drawn.insert(seen.sample).second) continue;
    const double score = seen.scores.image_score();
    const bool called = threshold && score >= *threshold;
    Example example;
    example.kind =
        seen.anomalous ? (called ? "found" : "missed") : (called ? "false alarm" : "good");
    example.path = seen.sample->path.lexically_relative(category.folder);
    example.defect = seen.sample->defect;
    example.score = score;
    example.overlay = std::filesystem::path("overlays") / file_name_for(category.name) /
                      (file_name_for(example.path.string()) + ".jpg");
    const Image image = encoder.read(seen.sample->path);
    OverlayContent content;
    content.rgb = image.rgb;
    content.map = seen.scores.raw_map();
    content.scale = scale;
    content.shown = [range](double score) { return shown_score(score, range); };
    if (!seen.sample->masks.empty()) {
      content.truth = read_masks_for(image, seen.sample->masks).marks;
    }
    content.caption = fmt::format("score {:.4f}   {}", score, seen.sample->defect);
    write_jpeg(folder / example.overlay, draw_overlay(content));
    examples.push_back(std::move(example));
  }
  return examples;
}

}  // namespace nagl
