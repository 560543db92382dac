#include "neighbor_kernel.h"

#include <ATen/Parallel.h>

#include <algorithm>
#include <limits>
#include <vector>

#include "block_product.h"
#include "kernel_check.h"
#include "simd.h"

namespace nagl {
namespace {

constexpr std::int64_t kQueries = 256;    // a block of them, transposed: 384 KB at 384 channels
constexpr std::int64_t kReferences = 64;  // products of a block: 64 KB

/// What is known of a block of queries so far. Products stand in rows, one a reference, so that
/// queries lie side by side in a vector.
struct Best {
  float cosine[kQueries];  ///< times the query's norm
  float value[kQueries];
  std::int32_t index[kQueries];
};

NAGL_SIMD void largest_cosine(const float* products, const float* inverse_norms,
                              std::int64_t references, std::int64_t queries, Best& best) {
  for (std::int64_t r = 0; r < references; ++r) {
    const float* row = products + r * kQueries;
    const float inverse = inverse_norms[r];
#pragma omp simd
    for (std::int64_t q = 0; q < queries; ++q) {
      const float cosine = row[q] * inverse;
      best.cosine[q] = cosine > best.cosine[q] ? cosine : best.cosine[q];
    }
  }
}

/// Of equal products the first is taken.
NAGL_SIMD void largest_product(const float* products, const float* inverse_norms,
                               std::int64_t references, std::int64_t queries, std::int32_t first,
                               Best& best) {
  for (std::int64_t r = 0; r < references; ++r) {
    const float* row = products + r * kQueries;
    const float inverse = inverse_norms != nullptr ? inverse_norms[r] : 1;
    const std::int32_t index = first + static_cast<std::int32_t>(r);
#pragma omp simd
    for (std::int64_t q = 0; q < queries; ++q) {
      const float value = row[q] * inverse;
      const bool better = value > best.value[q];
      best.index[q] = better ? index : best.index[q];
      best.value[q] = better ? value : best.value[q];
    }
  }
}

void turn(std::int64_t rows, std::int64_t width, const float* from, float* to) {
  transpose_padded(rows, width, from, width, to, kQueries);
}

void turn(std::int64_t rows, std::int64_t width, const c10::BFloat16* from, c10::BFloat16* to) {
  pair_columns(rows, width, from, width, to, kQueries);
}

/// What is looked for, and where it is put. `value` and `index` are null where only cosines are
/// asked for.
struct Search {
  std::int64_t count, total, width;  ///< queries, references, channels
  const float* norm;                 ///< inverse ones of the references
  bool by_dot;
  float *cosine, *value;
  std::int64_t* index;

  /// @param query [count, width] @param row [total, width], both float or c10::BFloat16
  template <typename Number>
  void run(const Number* query, const Number* row) const {
    const std::int64_t blocks = (count + kQueries - 1) / kQueries;
    at::parallel_for(0, blocks, 1, [&](std::int64_t begin, std::int64_t end) {
      std::vector<Number> turned(static_cast<std::size_t>(width * kQueries));
      std::vector<float> products(static_cast<std::size_t>(kReferences * kQueries));
      Best best;
      for (std::int64_t block = begin; block < end; ++block) {
        const std::int64_t first = block * kQueries, here = std::min(kQueries, count - first);
        const std::int64_t padded = padded_to_lane(here);
        turn(here, width, query + first * width, turned.data());
        std::fill_n(best.cosine, kQueries, -std::numeric_limits<float>::infinity());
        std::fill_n(best.value, kQueries, -std::numeric_limits<float>::infinity());
        std::fill_n(best.index, kQueries, 0);
        for (std::int64_t r = 0; r < total; r += kReferences) {
          const std::int64_t some = std::min(kReferences, total - r);
          block_product(some, padded, width, row + r * width, width, turned.data(), kQueries,
                        products.data(), kQueries);
          largest_cosine(products.data(), norm + r, some, padded, best);
          if (index != nullptr) {
            largest_product(products.data(), by_dot ? nullptr : norm + r, some, padded,
                            static_cast<std::int32_t>(r), best);
          }
        }
        std::copy_n(best.cosine, here, cosine + first);
        if (index == nullptr) continue;
        std::copy_n(best.value, here, value + first);
        std::copy_n(best.index, here, index + first);
      }
      release_block_product();
    });
  }
};

}  // namespace

bool block_neighbors(const at::Tensor& queries, const NeighborRows& references,
                     ResidualMetric metric, bool with_index, NearestNeighbors& found) {
  constexpr const char* kName = "nearest neighbours in blocks";
  const std::int64_t total = references.size();
  check_kernel(queries.is_cpu() && queries.dim() == 2, kName, "queries not [Q, C] on the CPU");
  check_kernel(total > 0 && references.rows.is_cpu() && references.rows.dim() == 2 &&
                   references.rows.size(1) == queries.size(1) &&
                   references.rows.scalar_type() == queries.scalar_type(),
               kName, "references not [R, C] as the queries");
  check_kernel(references.inverse_norm.sizes() == at::IntArrayRef{total} &&
                   references.inverse_norm.is_cpu() &&
                   references.inverse_norm.scalar_type() == queries.scalar_type(),
               kName, "not one norm a reference");
  const std::int64_t count = queries.size(0), width = queries.size(1);
  const bool halved = references.halves.defined();
  const bool possible = halved ? references.halves.scalar_type() == at::kBFloat16 &&
                                     has_bfloat16_product() && width % 2 == 0
                               : has_block_product();
  if (queries.scalar_type() != at::kFloat || !possible ||
      total > std::numeric_limits<std::int32_t>::max() ||
      !references.inverse_norm.gt(0).all().item<bool>()) {
    return false;
  }
  const at::Tensor query_rows = queries.contiguous(), norms = references.inverse_norm.contiguous();
  const at::Tensor rows = (halved ? references.halves : references.rows).contiguous();
  found.max_cosine = at::empty({count}, query_rows.options());
  Search search{count,
                total,
                width,
                norms.const_data_ptr<float>(),
                metric == ResidualMetric::kDot,
                found.max_cosine.data_ptr<float>(),
                nullptr,
                nullptr};
  if (with_index) {
    found.best = at::empty({count}, query_rows.options());
    found.index = at::empty({count}, query_rows.options().dtype(at::kLong));
    search.value = found.best.data_ptr<float>();
    search.index = found.index.data_ptr<std::int64_t>();
  }
  if (halved) {
    const at::Tensor rounded = query_rows.to(at::kBFloat16);
    search.run(rounded.const_data_ptr<c10::BFloat16>(), rows.const_data_ptr<c10::BFloat16>());
  } else {
    search.run(query_rows.const_data_ptr<float>(), rows.const_data_ptr<float>());
  }
  return true;
}

}  // namespace nagl
