#pragma once

#include <cstdint>
#include <functional>
#include <memory>

#include "nagl/detection/bank.h"
#include "nagl/model/backbone.h"

namespace nagl {

/// Defects that were pasted onto good pictures, and how many of these a bank found.
struct PastedRecall {
  std::int64_t pasted = 0, found = 0;
};

/// Pastes the defects of a calibrated bank (up to 3 of them, by their drawn masks) onto its good
/// pictures (up to 8 for each, turned by up to 45 degrees or by half a turn), and scores each by
/// the bank without that defect and that good picture, so that neither is recognised: what it finds
/// of defects like these, at least. Where the bank knows no other defect, the threshold of such a
/// bank is chosen by the same rule.
/// @return nothing pasted where that says nothing: no defect is drawn, the only one is known and
/// the
///         rule needs one, fewer than 4 good pictures; pictures that are not what and where they
///         were do not count
PastedRecall pasted_recall(const std::shared_ptr<const Backbone>& backbone, const Bank& bank,
                           std::int64_t batch_size,
                           const std::function<void(std::int64_t, std::int64_t)>& progress = {});

}  // namespace nagl
