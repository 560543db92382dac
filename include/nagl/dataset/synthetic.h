#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

namespace nagl {

/// What `write_synthetic_dataset` makes.
struct SyntheticOptions {
  std::uint64_t seed = 0;  ///< same seed, same pictures
  int size = 512;          ///< height and width of a picture in pixels, 64..4096
  int train_good = 8;      ///< pictures a category in train/good, 1..10000
  int test_good = 12;      ///< pictures a category in test/good, 0..10000
  int test_defect = 6;     ///< pictures a category and defect type in test/TYPE, 0..10000

  /// Throws ConfigError on a value out of range.
  void check() const;
};

/// A domain is a folder of categories; the two domains look nothing alike.
struct SyntheticDomain {
  std::string name;
  std::vector<std::string> categories;
  std::vector<std::string> defects;  ///< defect types of every category of the domain
};

/// The domains that can be made, in the order they are written.
const std::vector<SyntheticDomain>& synthetic_domains();

/// Called after each picture with (pictures done, pictures in all).
using SyntheticProgress = std::function<void(std::int64_t, std::int64_t)>;

/// Writes all domains below `out` in MVTec layout:
/// `DOMAIN/CATEGORY/{train/good,test/good,test/TYPE}/NNN.png`, `ground_truth/TYPE/NNN_mask.png`
/// (0 or 255, the picture's size). Each picture is a pure function of (seed, category, split,
/// index). In test/TYPE the first picture shows the most severe defect; any number covers the whole
/// range of severities. Throws ConfigError on bad options or when `out`/DOMAIN exists and is not an
/// empty folder, DataError (naming the path) when a file cannot be written.
void write_synthetic_dataset(const std::filesystem::path& out, const SyntheticOptions& options,
                             const SyntheticProgress& progress = {});

}  // namespace nagl
