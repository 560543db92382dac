#pragma once

#include <filesystem>
#include <optional>
#include <vector>

#include "nagl/dataset/dataset.h"
#include "nagl/detection/query.h"
#include "nagl/evaluation/results.h"

namespace nagl {

/// Keeps, of all queries that it sees, those that a person should look at: the defects that score
/// highest and lowest, and the good pictures that score highest.
class ExampleKeeper {
 public:
  struct Seen {
    const Sample* sample = nullptr;
    bool anomalous = false;
    PictureScores scores;
  };

  /// @param count of each kind
  explicit ExampleKeeper(std::size_t count) : count_(count) {}

  void see(const Seen& seen);

  /// Draws their overlays into `folder / "overlays"`. @param threshold image scores from which
  /// pictures count as anomalous
  std::vector<Example> draw(const Category& category, const PictureEncoder& encoder,
                            std::optional<double> threshold,
                            const std::filesystem::path& folder) const;

 private:
  std::size_t count_;
  std::vector<Seen> hottest_defects_, coldest_defects_, hottest_good_;
};

}  // namespace nagl
