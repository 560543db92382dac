#include "bank_size.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <vector>

#include "nagl/core/error.h"
#include "nagl/nn/coreset.h"

namespace nagl {
namespace {

constexpr std::int64_t kLeastPictures = 4;
constexpr double kMegabyte = 1e6;

/// So many rows at once are compared with the earlier ones, and each other.
constexpr std::int64_t kAtOnce = 1024;

constexpr auto kValueBytes = static_cast<std::int64_t>(sizeof(float));

std::int64_t row_bytes(std::int64_t width) { return (width + 1) * kValueBytes; }  // and its novelty

/// Novelty of rows that were kept without it, beside those of earlier pictures.
/// @param counts rows of each picture
at::Tensor novelty_of(const at::Tensor& rows, const std::vector<std::int64_t>& counts) {
  at::Tensor novelty = at::empty({rows.size(0)}, at::kFloat);
  std::int64_t begin = 0;
  for (const auto count : counts) {
    const std::int64_t end = begin + count;
    for (; begin < end; begin = std::min(begin + kAtOnce, end)) {
      const at::Tensor some = rows.slice(0, begin, std::min(begin + kAtOnce, end));
      const CoresetChoice all = choose_coreset(some, rows.slice(0, 0, begin), some.size(0));
      novelty.slice(0, begin, begin + some.size(0)).index_copy_(0, all.rows, all.novelty);
    }
  }
  return novelty;
}

/// From now on rows are a choice.
void begin_thinning(ReferenceFeatures& features) {
  for (auto* all : {&features.normal_moments, &features.abnormal_moments}) {
    for (auto& moments : *all) moments = moments.as_kept();
  }
  features.thinned = true;
  if (!features.normal_novelty.defined())
    features.normal_novelty = novelty_of(features.normal, features.normal_rows);
  if (!features.surroundings.defined() || features.surroundings_novelty.defined()) return;
  std::vector<std::int64_t> counts;
  for (const auto& own : features.surroundings_by_picture()) counts.push_back(own.size(0));
  features.surroundings_novelty = novelty_of(features.surroundings, counts);
}

at::Tensor chosen(const at::Tensor& rows, const at::Tensor& kept) {
  return rows.index({kept.to(rows.device())});
}

std::int64_t count_of(const at::Tensor& kept) { return kept.sum().item<std::int64_t>(); }

/// @param kept [R], [U] bool
void keep_rows(ReferenceFeatures& features, const at::Tensor& normal, const at::Tensor& around) {
  std::int64_t begin = 0;
  for (auto& rows : features.normal_rows) {
    const std::int64_t end = begin + rows;
    rows = count_of(normal.slice(0, begin, end));
    begin = end;
  }
  features.normal = chosen(features.normal, normal);
  features.normal_novelty = chosen(features.normal_novelty, normal);
  if (!features.surroundings.defined()) return;
  features.surroundings = chosen(features.surroundings, around);
  features.surroundings_novelty = chosen(features.surroundings_novelty, around);
  // Where they lie is marked in their order.
  features.clear = features.clear.clone();
  features.clear.masked_scatter_(features.clear.clone(), around.to(features.clear.device()));
}

}  // namespace

std::int64_t row_bytes_of(std::int64_t good, std::int64_t of_defects, std::int64_t width,
                          std::int64_t views, std::int64_t patches) {
  return good * row_bytes(width) + of_defects * width * kValueBytes + 2 * views * patches;
}

BankBudget budget_of(const Bank& bank, std::int64_t patches) {
  const std::int64_t width = bank.features.normal.size(1), row = row_bytes(width);
  constexpr std::int64_t kPictureBytes = Thumbnail::kSide * Thumbnail::kSide + 1024;
  constexpr std::int64_t kOverhead = 64 * 1024;  // the list of its options, names of tensors
  const bool with_moments = uses_surroundings(bank.options.method);
  const std::int64_t picture =
      kPictureBytes + (with_moments ? width * (width + 1) * kValueBytes : 0);
  std::int64_t fixed = kOverhead + 17 * patches * kValueBytes;  // probe scores, ROI
  fixed += static_cast<std::int64_t>(bank.roi.total());
  if (bank.head) {
    for (const auto& parameter : bank.head->head->parameters()) fixed += parameter.nbytes();
  }
  const std::int64_t free = bank.options.max_size - fixed;
  const std::int64_t known = free / 3 / picture - 2;  // the merged have moments too
  BankBudget budget{free * 3 / 5, known - known / 4, known / 4};
  // Four good pictures, a defect, and the two merged; two views, so that there is a choice.
  const std::int64_t least =
      fixed + std::max(3 * (kLeastPictures + 3) * picture, 2 * patches * row * 5 / 3);
  if (bank.options.max_size < least) {
    throw ConfigError(fmt::format(
        "--max-size {:.1f} MB is too small for a bank of method {}; give {:.0f} MB or "
        "more",
        static_cast<double>(bank.options.max_size) / kMegabyte, to_string(bank.options.method),
        std::ceil(static_cast<double>(least) / kMegabyte)));
  }
  return budget;
}

void thin_rows(ReferenceFeatures& features, std::int64_t bytes) {
  const std::int64_t width = features.normal.size(1);
  const std::int64_t around = features.surroundings.defined() ? features.surroundings.size(0) : 0;
  const std::int64_t rows = features.normal.size(0) + around;
  const bool shown = features.abnormal.defined();
  const std::int64_t of_defects =
      shown ? row_bytes_of(0, features.abnormal.size(0), width, features.patch_mask.size(0),
                           features.patch_mask.size(1))
            : 0;
  if (row_bytes_of(rows, 0, width, 0, 0) + of_defects <= bytes) return;
  constexpr double kFilled = 0.9;
  const std::int64_t wanted =
      (static_cast<std::int64_t>(kFilled * static_cast<double>(bytes)) - of_defects) /
      row_bytes(width);
  if (wanted < features.normal_count()) {
    throw ConfigError(
        "the bank is full: its pictures of defects leave no room for good patches within its "
        "--max-size; enroll again with a larger one, or take some of them out (nagl bank remove)");
  }
  begin_thinning(features);
  at::Tensor novelty = features.normal_novelty;
  if (around > 0) novelty = at::cat({novelty, features.surroundings_novelty});
  // Of equals the earlier ones stay.
  const at::Tensor order =
      std::get<1>(novelty.sort(/*stable=*/true, /*dim=*/0, /*descending=*/true));
  const at::Tensor kept =
      at::zeros({rows}, at::kBool).index_fill_(0, order.slice(0, 0, std::min(wanted, rows)), true);
  keep_rows(features, kept.slice(0, 0, rows - around), kept.slice(0, rows - around));
}

std::int64_t merge_oldest(Bank& bank, const BankBudget& budget) {
  ReferenceFeatures& features = bank.features;
  const std::int64_t own = features.merged > 0 ? 1 : 0;
  const std::int64_t more = features.normal_count() - own - budget.pictures;
  const bool defects =
      static_cast<std::int64_t>(features.abnormal_moments.size()) > budget.defects + 1;
  if (!features.thinned || (more <= 0 && !defects)) return 0;
  begin_thinning(features);  // rows may have been chosen by other means
  if (more > 0) {
    const std::int64_t last = more + own;  // entries that become the first
    const auto rows = features.normal_rows.begin();
    const std::int64_t held = std::accumulate(rows, rows + last, std::int64_t{0});
    features.normal_rows.erase(rows, rows + last - 1);
    features.normal_rows.front() = held;
    auto& moments = features.normal_moments;
    if (!moments.empty()) {
      for (std::int64_t i = 1; i < last; ++i) {
        moments.front() = moments.front().with(moments[static_cast<std::size_t>(i)]).as_kept();
      }
      moments.erase(moments.begin() + 1, moments.begin() + last);
    }
    bank.normal.erase(bank.normal.begin(), bank.normal.begin() + last - 1);
    bank.normal.front() = {};  // several pictures have no name
    features.merged += more;
  }
  // Pictures of defects keep their patches; the first has the moments of its elders too.
  auto& around = features.abnormal_moments;
  for (std::int64_t i = 1; i + budget.defects < static_cast<std::int64_t>(around.size()); ++i) {
    FeatureMoments& moments = around[static_cast<std::size_t>(i)];
    if (moments.count > 0) around.front() = around.front().with(moments).as_kept();
    moments = {};
  }
  return more > 0 ? more + own - 1 : 0;
}

void make_alike(ReferenceFeatures& one, ReferenceFeatures& other) {
  const bool rated = one.normal_novelty.defined() || other.normal_novelty.defined();
  const bool thinned = one.thinned || other.thinned;
  for (auto* features : {&one, &other}) {
    if (rated) begin_thinning(*features);
    features->thinned = thinned;  // moments are there in either case
  }
}

void keep_within_size(Bank& bank, std::int64_t patches) {
  if (bank.options.max_size == 0) return;
  const BankBudget budget = budget_of(bank, patches);
  thin_rows(bank.features, budget.row_bytes);
  merge_oldest(bank, budget);
}

}  // namespace nagl
