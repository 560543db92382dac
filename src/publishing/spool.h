#pragma once

#include <cstdint>
#include <deque>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>

#include "nagl/core/file_lock.h"

namespace nagl {

/// What waits in a folder to be delivered: a file each, which appears whole or not at all, in the
/// order in which they came. Of one process at a time. For one thread at a time.
class Spool {
 public:
  struct Entry {
    std::string name;  ///< unlike any other of this folder, ever
    std::int64_t bytes = 0;
  };

  /// Takes over what an earlier process left. @param most bytes that may wait
  /// @throws ConfigError if another process has the folder, DataError if it cannot be used
  Spool(std::filesystem::path folder, std::int64_t most);

  /// @throws DataError if it cannot be written
  void add(std::string_view text);

  /// The oldest; null: nothing waits.
  const Entry* oldest() const { return entries_.empty() ? nullptr : &entries_.front(); }
  /// @return nothing if the file is not there any more, or is damaged
  std::optional<std::string> read(const Entry& entry) const;
  /// Takes an entry out, if it is still there.
  void remove(const std::string& name);

  /// Takes the oldest out until no more waits than may. @param kept the name of one that stays,
  /// since it is on its way @return how many
  std::size_t give_up(const std::string& kept = {});

  std::size_t size() const { return entries_.size(); }
  std::int64_t bytes() const { return bytes_; }

 private:
  std::filesystem::path folder_;
  FileLock lock_;
  std::int64_t most_;
  std::deque<Entry> entries_;
  std::int64_t bytes_ = 0;
  std::int64_t last_ = 0;  ///< number of the newest
};

}  // namespace nagl
