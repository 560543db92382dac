#include "nagl/training/validation.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "nagl/core/error.h"
#include "nagl/core/random.h"
#include "nagl/metrics/pixel_metrics.h"
#include "nagl/metrics/ranking_metrics.h"
#include "nagl/nn/image_score.h"

namespace nagl {
namespace {

constexpr std::uint64_t kValidationEpoch = ~std::uint64_t{1};  // of Random; no training reaches it

/// All pictures of one category and defect type against references drawn from them.
std::vector<Episode> draw_set(const CategoryPictures& category,
                              const CategoryPictures::Defect& defect, std::int64_t normal_shots,
                              std::int64_t abnormal_shots, Random& random) {
  Episode references;
  references.normal = random.choose_of(category.good, normal_shots);
  references.abnormal = random.choose_of(defect.pictures, abnormal_shots);
  std::set<std::int64_t> used(references.normal.begin(), references.normal.end());
  used.insert(references.abnormal.begin(), references.abnormal.end());
  std::vector<Episode> set;
  for (const auto* pictures : {&category.good, &defect.pictures}) {
    for (const auto picture : *pictures) {
      if (used.contains(picture)) continue;
      set.push_back(references);
      set.back().query = picture;
    }
  }
  return set;
}

}  // namespace

void ValidationOptions::check() const {
  if (draws < 1 || draws > 100) {
    throw ConfigError(fmt::format("validation.draws {} is not in 1..100", draws));
  }
  if (!category.empty() && hold_out != HoldOut::kAuto && hold_out != HoldOut::kCategory) {
    throw ConfigError(
        fmt::format("validation.category '{}' needs validation.hold_out=category, which is {}",
                    category, to_string(hold_out)));
  }
}

Json to_json(const ValidationMetrics& metrics) {
  return {{"image_auroc", metrics.image_auroc},
          {"pixel_auroc", metrics.pixel_auroc},
          {"pro", metrics.pro}};
}

ValidationMetrics validation_metrics_from_json(const Json& json) {
  return {json.at("image_auroc"), json.at("pixel_auroc"), json.at("pro")};
}

Validator::Validator(EpisodeLoader& loader, std::vector<CategoryPictures> categories,
                     const EpisodeOptions& episodes, const ValidationOptions& options,
                     std::uint64_t seed)
    : loader_(loader) {
  std::vector<std::string> ignored;
  const auto usable = usable_categories(std::move(categories), episodes, ignored);
  std::uint64_t slot = 0;
  for (std::int64_t draw = 0; draw < options.draws; ++draw) {
    for (const auto& category : usable) {
      for (const auto& defect : category.defects) {
        Random random(seed, kValidationEpoch, static_cast<std::uint64_t>(draw), slot++);
        sets_.push_back(draw_set(category, defect, episodes.normal_shots.front(),
                                 episodes.abnormal_shots, random));
      }
    }
  }
}

ValidationMetrics Validator::evaluate(NaglHead& head, std::int64_t batch_size) const {
  const at::NoGradGuard no_grad;
  ValidationMetrics mean;
  for (const auto& set : sets_) {
    const auto proxies = head->mine(loader_.references({set.data(), 1}));
    PixelMetrics pixels;
    std::vector<double> scores;
    std::vector<std::uint8_t> labels;
    for (std::size_t begin = 0; begin < set.size(); begin += static_cast<std::size_t>(batch_size)) {
      const auto count = std::min(static_cast<std::size_t>(batch_size), set.size() - begin);
      const std::span<const Episode> batch(set.data() + begin, count);
      const auto queries = loader_.queries(batch);
      const auto anomaly_proxies =
          head->learn(proxies.expand({static_cast<std::int64_t>(count), -1, -1}), queries);
      const auto fused =
          fuse(queries.normal_cosine, mean_cosine(queries.features, anomaly_proxies)).fused;
      const auto image = image_scores(fused).to(at::kCPU);
      const auto masks = loader_.masks(batch).to(at::kCPU).contiguous();
      const std::int64_t height = masks.size(1), width = masks.size(2);
      const PatchGrid grid = queries.grid;
      const auto maps = at::upsample_bilinear2d(fused.reshape({-1, 1, grid.rows, grid.columns}),
                                                {height, width}, false)
                            .to(at::kCPU)
                            .contiguous();
      const auto size = static_cast<std::size_t>(height * width);
      for (std::size_t i = 0; i < count; ++i) {
        pixels.add({maps.const_data_ptr<float>() + i * size, size},
                   {masks.const_data_ptr<std::uint8_t>() + i * size, size}, height, width);
        scores.push_back(image[static_cast<std::int64_t>(i)].item<double>());
        labels.push_back(loader_.picture(batch[i].query).anomalous());
      }
    }
    const auto share = 1.0 / static_cast<double>(sets_.size());
    // A set holds good and anomalous pictures, and the latter have a mask, so none is absent.
    mean.image_auroc += share * auroc(scores, labels).value();
    mean.pixel_auroc += share * pixels.auroc().value();
    mean.pro += share * pixels.pro().value();
  }
  return mean;
}

}  // namespace nagl
