#pragma once

#include <cstddef>
#include <filesystem>
#include <string>
#include <vector>

#include "nagl/core/file_history.h"
#include "nagl/core/json.h"
#include "nagl/detection/bank.h"
#include "nagl/jobs/observer.h"
#include "nagl/jobs/runtime.h"

namespace nagl::jobs {

/// Generations of a bank that are kept beside it where nobody says how many.
inline constexpr std::size_t kKeptGenerations = 30;

/// Writes a bank in the place of its file; what was there becomes a generation (FileHistory).
/// @param change what was done, for people, e.g. `calibrate`
/// @throws DataError if that cannot be written; the file is then as it was
void save_change(const std::filesystem::path& path, const Bank& bank, const Backbone& backbone,
                 const std::string& change, std::size_t keep);

/// What a bank holds: its pictures with their parts, checksums and sizes, options, calibration,
/// decisions, and how many generations lie behind it.
/// @throws ModelError naming the file if it is no bank
Json describe_bank(const std::filesystem::path& bank);

/// The generations of a bank, the newest first. @throws DataError if it is not there
std::vector<Generation> bank_history(const std::filesystem::path& bank);

/// Puts earlier generations back, byte for byte. @return those, the newest first
/// @throws DataError if there are fewer; the file is then as it was
std::vector<Generation> undo_changes(const std::filesystem::path& bank, std::size_t steps);

/// Pictures to take out of a bank.
struct RemoveOptions {
  std::filesystem::path bank;
  /// Each by its path or the end of it, by at least 8 digits of its checksum, or by its number in
  /// `describe_bank`: `#3`.
  std::vector<std::string> pictures;
  std::size_t keep = kKeptGenerations;
  RuntimeOptions runtime;
};

/// What is in a bank after a change, and what changed.
struct ChangeResult {
  std::vector<std::string> pictures;  ///< that came or went, by path
  std::size_t normal = 0, abnormal = 0;
};

/// Gives the bank that was never given these pictures; of a thinned one says what that cannot mean.
/// A calibration is void then. @throws Error naming what is wrong; the file is then as it was
ChangeResult remove_pictures(const RemoveOptions& options, const JobObserver& observer = {});

/// Banks to make one of.
struct MergeOptions {
  std::vector<std::filesystem::path> banks;  ///< at least two; pictures come in this order
  std::filesystem::path out;                 ///< may be one of them
  bool overwrite = false;                    ///< replace the file that is there
  std::size_t keep = kKeptGenerations;
  RuntimeOptions runtime;
};

/// The pictures of several banks in one; of copies the first. A calibration is void then.
/// @throws Error naming what is wrong; nothing is then written
ChangeResult merge_banks(const MergeOptions& options, const JobObserver& observer = {});

}  // namespace nagl::jobs
