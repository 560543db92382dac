#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace nagl {

/// Which of several processes this one is. It says where a process begins to look for work, so that
/// they seldom meet; what it does depends on what the others have done by then.
struct Shard {
  std::int64_t index = 0;
  std::int64_t count = 0;                  ///< 0: not known
  std::optional<std::int64_t> local_rank;  ///< among those of its machine: which GPU is its own
};

/// `2/8` (from 0), or `auto`: by the variables of torchrun, MPI, Slurm or Kubernetes.
/// @param variable gives an environment variable's value, or null
/// @throws ConfigError on anything else, and where `auto` finds no variable
Shard parse_shard(const std::string& text,
                  const std::function<const char*(const char*)>& variable = {});

/// Units of work that several processes share, on one machine or on many, by files in a folder that
/// all of them see. A unit is taken by a claim, a file with the name of its owner and a count that
/// the owner raises as long as it works. A claim that did not change for the length of a lease, by
/// the watcher's own clock, is of a process that died, and is taken over. Two processes may come to
/// do the same unit: what they write must be the same, and appear whole.
///
/// Of the file system it asks that a file can be made only if there is none of its name, that
/// renaming replaces, and that what one process wrote and closed is what another reads when it
/// opens the file, within a lease. Where the first does not hold, work is done twice. No locks are
/// used.
class WorkShare {
 public:
  /// @param folder of the claims; made if it is missing
  /// @param lease seconds
  /// @throws DataError if the folder cannot be made
  WorkShare(std::filesystem::path folder, Shard shard, double lease);
  ~WorkShare();

  /// Does units until all are done, by this process or by others.
  /// @param units names, fit for files, the same in every process
  /// @param done whether a unit's result is there
  /// @param work does it; its result is there when it returns true, false stops
  /// @param waiting told once how many are left to others, when nothing is left to take; may be
  ///        empty
  /// @param stop asked between units, and while waiting
  /// @return whether all are done; false: it was stopped
  bool run(const std::vector<std::string>& units,
           const std::function<bool(const std::string&)>& done,
           const std::function<bool(const std::string&)>& work,
           const std::function<void(std::size_t)>& waiting = {},
           const std::function<bool()>& stop = {});

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace nagl
