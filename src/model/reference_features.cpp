#include "nagl/model/reference_features.h"

#include <algorithm>
#include <numeric>
#include <stdexcept>

namespace nagl {
namespace {

std::int64_t sum_of(const std::vector<std::int64_t>& counts) {
  return std::accumulate(counts.begin(), counts.end(), std::int64_t{0});
}

/// Where entry `index` begins when entries of these lengths follow each other.
std::int64_t begin_of(const std::vector<std::int64_t>& counts, std::int64_t index) {
  return std::accumulate(counts.begin(), counts.begin() + index, std::int64_t{0});
}

at::Tensor without_rows(const at::Tensor& rows, std::int64_t begin, std::int64_t end) {
  return at::cat({rows.slice(0, 0, begin), rows.slice(0, end)});
}

void without_entry(std::vector<FeatureMoments>& moments, std::int64_t index) {
  if (!moments.empty()) moments.erase(moments.begin() + index);
}

std::int64_t count_of(const at::Tensor& marks) { return marks.sum().item<std::int64_t>(); }

}  // namespace

ReferenceFeatures ReferenceFeatures::of_pictures(const at::Tensor& normal,
                                                 const at::Tensor& abnormal,
                                                 const at::Tensor& patch_mask, PatchGrid grid) {
  const c10::InferenceMode guard;
  if (normal.dim() != 3) throw std::invalid_argument("references: normal must be [K1, N, C]");
  ReferenceFeatures features;
  features.normal = normal.flatten(0, 1).contiguous();
  features.normal_rows.assign(static_cast<std::size_t>(normal.size(0)), normal.size(1));
  if (!abnormal.defined()) return features;
  const bool fits = abnormal.dim() == 3 && patch_mask.defined() && patch_mask.dim() == 2 &&
                    patch_mask.size(0) == abnormal.size(0) &&
                    patch_mask.size(1) == abnormal.size(1) && abnormal.size(2) == normal.size(2) &&
                    (grid.size() == 0 || grid.size() == abnormal.size(1));
  if (!fits) {
    throw std::invalid_argument("references: abnormal must be [K2, N, C], patch_mask [K2, N]");
  }
  features.patch_mask = patch_mask.to(abnormal.device(), at::kBool);
  features.abnormal = abnormal.index({features.patch_mask});
  features.abnormal_views.assign(static_cast<std::size_t>(abnormal.size(0)), 1);
  if (grid.size() == 0) return features;
  features.clear = clear_of(features.patch_mask, grid);
  features.surroundings = abnormal.index({features.clear});
  features.drawn = at::ones({abnormal.size(0)}, features.patch_mask.options());
  features.compute_moments();
  return features;
}

at::Tensor ReferenceFeatures::normal_picture(std::int64_t index) const {
  const std::int64_t begin = begin_of(normal_rows, index);
  return normal.slice(0, begin, begin + normal_rows[static_cast<std::size_t>(index)]);
}

std::int64_t ReferenceFeatures::view_rows(std::int64_t index) const {
  return counted.defined() ? count_of(counted)
                           : normal_rows[static_cast<std::size_t>(index)] / turns;
}

at::Tensor ReferenceFeatures::normal_picture_unturned(std::int64_t index) const {
  const at::Tensor rows = normal_picture(index);
  return thinned ? rows : rows.slice(0, 0, view_rows(index));
}

std::vector<at::Tensor> ReferenceFeatures::surroundings_by_picture() const {
  std::vector<at::Tensor> pictures;
  std::int64_t view = 0, row = 0;
  for (const auto views : abnormal_views) {
    const std::int64_t count = count_of(clear.slice(0, view, view + views));
    pictures.push_back(surroundings.slice(0, row, row + count));
    view += views;
    row += count;
  }
  return pictures;
}

void ReferenceFeatures::compute_moments() {
  normal_moments.clear();
  abnormal_moments.clear();
  for (std::int64_t i = 0; i < normal_count(); ++i) {
    normal_moments.push_back(FeatureMoments::of(unit_rows(normal_picture_unturned(i))));
  }
  if (!surroundings.defined()) return;
  for (const auto& rows : surroundings_by_picture()) {
    abnormal_moments.push_back(FeatureMoments::of(unit_rows(rows)));
  }
}

at::Tensor ReferenceFeatures::drawn_abnormal() const {
  // Rows of `abnormal` follow each other as the set patches of `patch_mask` do.
  return abnormal.index({drawn.unsqueeze(1).expand_as(patch_mask).index({patch_mask})});
}

std::int64_t ReferenceFeatures::drawn_count() const {
  std::int64_t count = 0, view = 0;
  if (!drawn.defined()) return count;
  for (const auto views : abnormal_views) {
    count += drawn.slice(0, view, view + views).any().item<bool>();
    view += views;
  }
  return count;
}

ReferenceFeatures ReferenceFeatures::without_normal(std::int64_t index) const {
  ReferenceFeatures others = *this;
  const std::int64_t begin = begin_of(normal_rows, index);
  const auto at = others.normal_rows.begin() + index;
  others.normal = without_rows(normal, begin, begin + *at);
  if (normal_novelty.defined()) {
    others.normal_novelty = without_rows(normal_novelty, begin, begin + *at);
  }
  others.normal_rows.erase(at);
  without_entry(others.normal_moments, index);
  if (index == 0) others.merged = 0;
  return others;
}

ReferenceFeatures ReferenceFeatures::without_normal(
    const std::vector<std::int64_t>& indices) const {
  std::vector<std::int64_t> from_the_end = indices;
  std::sort(from_the_end.rbegin(), from_the_end.rend());
  ReferenceFeatures others = *this;
  for (const auto index : from_the_end) others = others.without_normal(index);
  return others;
}

ReferenceFeatures ReferenceFeatures::without_abnormal(std::int64_t index) const {
  ReferenceFeatures others = *this;
  const std::int64_t begin = begin_of(abnormal_views, index);
  const auto at = others.abnormal_views.begin() + index;
  const std::int64_t end = begin + *at;
  others.abnormal_views.erase(at);
  without_entry(others.abnormal_moments, index);
  if (others.abnormal_views.empty()) {
    others.abnormal = others.patch_mask = at::Tensor();
    others.surroundings = others.clear = others.drawn = at::Tensor();
    others.surroundings_novelty = at::Tensor();
    return others;
  }
  const std::int64_t first = count_of(patch_mask.slice(0, 0, begin));
  const std::int64_t last = first + count_of(patch_mask.slice(0, begin, end));
  others.abnormal = without_rows(abnormal, first, last);
  others.patch_mask = without_rows(patch_mask, begin, end);
  if (surroundings.defined()) {
    const std::int64_t before = count_of(clear.slice(0, 0, begin));
    const std::int64_t after = before + count_of(clear.slice(0, begin, end));
    others.surroundings = without_rows(surroundings, before, after);
    if (surroundings_novelty.defined()) {
      others.surroundings_novelty = without_rows(surroundings_novelty, before, after);
    }
    others.clear = without_rows(clear, begin, end);
    others.drawn = without_rows(drawn, begin, end);
  }
  return others;
}

ReferenceFeatures ReferenceFeatures::with_abnormal_of(const ReferenceFeatures& other) const {
  ReferenceFeatures both = other;
  both.normal = normal;
  both.normal_rows = normal_rows;
  both.turns = turns;
  both.counted = counted;
  both.thinned = thinned;
  both.merged = merged;
  both.normal_novelty = normal_novelty;
  both.normal_moments = normal_moments;
  return both;
}

ReferenceFeatures ReferenceFeatures::followed_by(const ReferenceFeatures& other) const {
  const bool alike = counted.defined() ? other.counted.defined() && counted.equal(other.counted)
                                       : !other.counted.defined();
  if (turns != other.turns || !alike || thinned != other.thinned || other.merged > 0 ||
      normal_novelty.defined() != other.normal_novelty.defined()) {
    throw std::invalid_argument("references: they were not made alike");
  }
  const auto append = [](auto& all, const auto& more) {
    all.insert(all.end(), more.begin(), more.end());
  };
  ReferenceFeatures both = *this;
  both.normal = at::cat({normal, other.normal});
  append(both.normal_rows, other.normal_rows);
  append(both.normal_moments, other.normal_moments);
  append(both.abnormal_views, other.abnormal_views);
  append(both.abnormal_moments, other.abnormal_moments);
  if (abnormal.defined() && other.abnormal.defined() &&
      surroundings.defined() != other.surroundings.defined()) {
    throw std::invalid_argument("references: one has surroundings, the other none");
  }
  const auto join = [](at::Tensor& all, const at::Tensor& more) {
    if (!more.defined()) return;
    all = all.defined() ? at::cat({all, more}) : more;
  };
  join(both.normal_novelty, other.normal_novelty);
  join(both.abnormal, other.abnormal);
  join(both.patch_mask, other.patch_mask);
  join(both.surroundings, other.surroundings);
  join(both.surroundings_novelty, other.surroundings_novelty);
  join(both.clear, other.clear);
  join(both.drawn, other.drawn);
  return both;
}

ReferenceFeatures ReferenceFeatures::on(at::Device device) const {
  ReferenceFeatures there = *this;
  there.normal = normal.to(device);
  for (at::Tensor* tensor : {&there.counted, &there.abnormal, &there.patch_mask,
                             &there.surroundings, &there.clear, &there.drawn}) {
    if (tensor->defined()) *tensor = tensor->to(device);
  }
  for (auto* all : {&there.normal_moments, &there.abnormal_moments}) {
    for (auto& moments : *all) {
      if (moments.count == 0) continue;
      moments.mean = moments.mean.to(device);
      moments.scatter = moments.scatter.to(device);
    }
  }
  return there;
}

void ReferenceFeatures::check() const {
  const auto require = [](bool fits, const char* what) {
    if (!fits) throw std::invalid_argument(what);
  };
  require(normal.dim() == 2 && normal.size(0) == sum_of(normal_rows),
          "references: normal must be [R, C], R rows in all pictures");
  const auto rated = [](const at::Tensor& novelty, const at::Tensor& rows) {
    return !novelty.defined() || (novelty.dim() == 1 && novelty.size(0) == rows.size(0));
  };
  require(rated(normal_novelty, normal) && (thinned || !normal_novelty.defined()),
          "references: novelty does not fit the normal rows");
  require(merged == 0 || (merged > 0 && !normal_rows.empty() && thinned),
          "references: merged pictures without rows");
  if (counted.defined()) {
    const std::int64_t least = !thinned ? count_of(counted) : normal_novelty.defined() ? 0 : 1;
    require(counted.dim() == 1 && counted.any().item<bool>() &&
                std::all_of(normal_rows.begin(), normal_rows.end(),
                            [&](std::int64_t rows) { return rows >= least; }),
            "references: normal pictures do not have the rows that count");
  }
  require(normal_moments.empty() || normal_moments.size() == normal_rows.size(),
          "references: moments do not fit the normal pictures");
  require(abnormal_moments.empty() || abnormal_moments.size() == abnormal_views.size(),
          "references: moments do not fit the abnormal pictures");
  if (!abnormal.defined()) {
    require(abnormal_views.empty(), "references: abnormal pictures without rows");
    return;
  }
  const std::int64_t views = sum_of(abnormal_views);
  require(patch_mask.defined() && patch_mask.dim() == 2 && patch_mask.size(0) == views &&
              abnormal.dim() == 2 && abnormal.size(1) == normal.size(1) &&
              count_of(patch_mask) == abnormal.size(0),
          "references: abnormal rows do not fit their mask");
  std::int64_t begin = 0;
  for (const auto count : abnormal_views) {
    require(count > 0 && patch_mask.slice(0, begin, begin + count).any().item<bool>(),
            "references: an abnormal picture has an empty patch mask");
    begin += count;
  }
  if (!surroundings.defined()) return;
  require(surroundings.dim() == 2 && surroundings.size(1) == normal.size(1) && clear.defined() &&
              clear.sizes() == patch_mask.sizes() && count_of(clear) == surroundings.size(0) &&
              !clear.logical_and(patch_mask).any().item<bool>() && drawn.defined() &&
              drawn.dim() == 1 && drawn.size(0) == views &&
              rated(surroundings_novelty, surroundings),
          "references: surroundings do not fit the masks of defects");
  require(!normal_moments.empty() || normal_rows.empty(), "references: surroundings, no moments");
}

}  // namespace nagl
