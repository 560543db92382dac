#pragma once

#include <cstdint>

#include "nagl/core/torch.h"
#include "nagl/detection/bank.h"
#include "nagl/model/reference_features.h"

namespace nagl {

/// How `BankOptions::max_size` is shared out.
struct BankBudget {
  std::int64_t row_bytes = 0;  ///< for rows of features, those of defects among them
  /// Good pictures, and pictures of defects, whose moments are known one by one: the newest.
  std::int64_t pictures = 0, defects = 0;
};

/// What a bank of that size may hold: two thirds of it rows, nearly all else what belongs to the
/// newest pictures.
/// @param patches N of a view
/// @throws ConfigError naming the least size if it is too small for a few pictures
BankBudget budget_of(const Bank& bank, std::int64_t patches);

/// What rows take in a file, those of good patches and of defects, with the masks of the latter.
/// @param views of pictures of defects, of N patches each
std::int64_t row_bytes_of(std::int64_t good, std::int64_t of_defects, std::int64_t width,
                          std::int64_t views, std::int64_t patches);

/// Forgets rows of good patches until all take at most `bytes`, with a tenth to spare for the
/// next ones: those that were least unlike the earlier ones when they came. Takes time linear in
/// their number but for the first time, when each row is compared with all earlier ones. Patches of
/// defects all stay.
/// @param features of whole pictures, with their moments where the method needs them
/// @throws ConfigError if the patches of defects alone take too much
void thin_rows(ReferenceFeatures& features, std::int64_t bytes);

/// Makes one entry of the oldest good pictures, and one with their moments of the oldest pictures
/// of defects, so that as many as the budget says are known one by one. Rows stay. Nothing happens
/// to a bank that is not thinned.
/// @return by how much the places of the other good pictures moved
std::int64_t merge_oldest(Bank& bank, const BankBudget& budget);

/// Makes a choice of rows of both where one of them is: what the other lacks for that is added.
void make_alike(ReferenceFeatures& one, ReferenceFeatures& other);

/// Thins and merges as the bank's options ask.
void keep_within_size(Bank& bank, std::int64_t patches);

}  // namespace nagl
